#include "daemon/upload.hpp"

#include "common/async/clock.hpp"
#include "common/log/log.hpp"
#include "daemon/upload_month_file.hpp"

#include <boost/asio/post.hpp>

#include <utility>

namespace tayga {
namespace {

constexpr Duration kTick = 100ms;  ///< a block of the month lasts far longer
constexpr Duration kDiskRetry = 10s;
/// A disk that hesitates and a household that wants its uplink for a moment: children bear that.
constexpr Duration kBreath = 5s;

}  // namespace

Upload::Upload(boost::asio::any_io_executor executor, const relay::UploadLimits& limits,
               std::optional<relay::MonthRecord> stored, const std::filesystem::path& state_dir)
    : executor_{executor},
      path_{upload_month_path(state_dir)},
      budget_{limits, stored},
      gate_{executor, budget_},
      timer_{executor} {}

Upload::~Upload() {
  timer_.cancel();
  gate_.stop();
  disk_.join();
}

void Upload::start() {
  started_ = true;
  on_tick();
}

void Upload::on_tick() {
  if (!started_) return;
  if (const auto record = budget_.month().poll_save(async::Clock::now())) save(*record);
  timer_.expires_after(kTick);
  timer_.async_wait([this](error_code ec) {
    if (!ec) on_tick();
  });
}

void Upload::save(const relay::MonthRecord& record) {
  boost::asio::post(disk_, [this, record] {
    auto error = save_upload_month(path_, record);
    boost::asio::post(executor_, [this, record, error = std::move(error)] {
      if (!started_) return;
      if (!error) {
        budget_.month().on_saved(record);
        if (std::exchange(disk_failed_, false)) log::info("the upload count is written again");
        return gate_.wake();
      }
      budget_.month().on_save_failed(async::Clock::now(), kDiskRetry);
      if (std::exchange(disk_failed_, true)) return;
      log::warn(
          "the month's upload count cannot be written; with a monthly limit nothing is sent "
          "to others until it can",
          log::field("error", error->message));
    });
  });
}

bool Upload::is_paused(TimePoint now) {
  switch (budget_.blocked()) {
    case relay::UploadBlock::none:
      blocked_since_.reset();
      return false;
    case relay::UploadBlock::metered:
    case relay::UploadBlock::schedule:
    case relay::UploadBlock::quota:
      return true;
    case relay::UploadBlock::disk:
    case relay::UploadBlock::courtesy:
      if (!blocked_since_) blocked_since_ = now;
      return now - *blocked_since_ >= kBreath;
  }
  return false;
}

void Upload::close() {
  if (!std::exchange(started_, false)) return;
  timer_.cancel();
  gate_.stop();
  disk_.join();
  if (const auto error = save_upload_month(path_, budget_.month().final_record())) {
    log::warn("the last upload count was not written", log::field("error", error->message));
  }
}

}  // namespace tayga
