#include "daemon/rescue/origin_rescue.hpp"

#include "common/log/log.hpp"
#include "common/media/slice.hpp"
#include "daemon/ingest/pull_paths.hpp"
#include "daemon/ingest/uri.hpp"

#include <utility>

namespace tayga::rescue {
namespace {

http::FetcherOptions fetcher_options(const OriginRescue::Options& options) {
  http::FetcherOptions out;
  out.transfers_max = options.transfers_max;
  out.queued_max = options.transfers_max;  // who waits, waits here
  out.connect_timeout = options.connect_timeout;
  return out;
}

}  // namespace

std::string object_url(std::string_view origin_url, std::string_view path) {
  const auto playlist = ingest::parse_http_url(origin_url);
  if (!playlist || !media::is_safe_path(path) || ingest::is_made_up_path(path)) return {};
  ingest::HttpUrl url = *playlist;
  url.path.resize(url.path.rfind('/') + 1);
  url.path += ingest::percent_encode_path(path);
  url.query.clear();
  return ingest::to_string(url);
}

OriginRescue::OriginRescue(boost::asio::any_io_executor executor, OriginAnswers& answers,
                           Options options)
    : executor_{std::move(executor)}, answers_{answers}, options_{options} {}

OriginRescue::~OriginRescue() = default;

void OriginRescue::fetch(const relay::Relay::FetchOrigin& action) {
  const std::uint64_t max = options_.object_size_max;
  const bool is_bounded = action.offset <= max && action.length <= max - action.offset;
  std::string url = object_url(action.origin_url, action.path);
  if (stopped_ || !is_bounded || url.empty()) return refuse(action.request);
  if (waiting_.size() >= options_.queued_max) {
    ++counters_.overflowed;
    const std::uint64_t oldest = waiting_.front().request;
    waiting_.pop_front();
    refuse(oldest);
  }
  const RangeAnswer answer{Part{action.offset, action.length}};
  waiting_.push_back(Job{action.request, std::move(url), answer});
  start_waiting();
}

void OriginRescue::start_waiting() {
  while (!stopped_ && !waiting_.empty() && running_.size() < options_.transfers_max) {
    Job next = std::move(waiting_.front());
    waiting_.pop_front();
    start(std::move(next));
  }
}

void OriginRescue::start(Job job) {
  if (!fetcher_) fetcher_ = std::make_unique<http::Fetcher>(executor_, fetcher_options(options_));
  const std::uint64_t id = job.request;
  http::FetchRequest request;
  request.url = job.url;
  request.range = job.answer.range();
  request.timeout = options_.timeout;
  request.max_bytes = options_.object_size_max;
  job.transfer = fetcher_->get(
      std::move(request), [this, id](const http::FetchHead& head) { on_head(id, head); },
      [this, id](ByteView bytes) { on_data(id, bytes); },
      [this, id](const http::FetchDone& done) { on_done(id, done); });
  running_.insert_or_assign(id, std::move(job));
}

void OriginRescue::on_head(std::uint64_t request, const http::FetchHead& head) {
  Job& job = running_.at(request);
  if (job.answer.on_head(head)) return;
  log::debug("the origin gave another part than was asked for",
             log::field("url", [&] { return http::printable_url(job.url); }),
             log::field("status", head.status));
  fetcher_->cancel(job.transfer);
  end(request);
}

void OriginRescue::on_data(std::uint64_t request, ByteView bytes) {
  Job& job = running_.at(request);
  const RangeAnswer::Piece piece = job.answer.on_body(bytes);
  const bool is_full = job.answer.is_full();
  if (is_full) fetcher_->cancel(job.transfer);  // the rest of a whole object
  if (!piece.bytes.empty()) answers_.on_origin_bytes(request, piece.offset, piece.bytes);
  if (is_full) end(request);
}

void OriginRescue::on_done(std::uint64_t request, const http::FetchDone& done) {
  RangeAnswer& answer = running_.at(request).answer;
  if (done.ok()) answer.on_end();
  if (done.status == 416) answer.on_unsatisfied(done.headers);
  if (!done.ok()) {
    log::debug("the origin did not help",
               log::field("url", [&] { return http::printable_url(done.url); }),
               log::field("status", done.status), log::field("error", done.error));
  }
  end(request);
}

/// Tells how it ended; what the relay asks for in return finds a free place.
void OriginRescue::end(std::uint64_t request) {
  const auto found = running_.find(request);
  if (found == running_.end()) return;  // stopped by what its last bytes led to
  const RangeAnswer answer = found->second.answer;
  running_.erase(found);
  if (!answer.is_complete()) ++counters_.failed;
  answers_.on_origin_done(request, {answer.is_complete(), answer.size()});
  start_waiting();
}

void OriginRescue::refuse(std::uint64_t request) {
  ++counters_.failed;
  answers_.on_origin_done(request, {false, std::nullopt});
}

void OriginRescue::stop() {
  stopped_ = true;
  fetcher_.reset();
  const auto waiting = std::exchange(waiting_, {});
  const auto running = std::exchange(running_, {});
  for (const Job& job : waiting) refuse(job.request);
  for (const auto& [request, job] : running) refuse(request);
}

}  // namespace tayga::rescue
