#include "daemon/receipts.hpp"

#include "common/async/clock.hpp"
#include "common/async/timeout.hpp"
#include "common/log/log.hpp"

#include <boost/asio/post.hpp>

#include <utility>
#include <variant>

namespace tayga {
namespace {

constexpr Duration kPumpInterval = 200ms;
constexpr Duration kFlushInterval = 2s;  ///< a power cut costs at most this much and one flush

}  // namespace

Receipts::Receipts(boost::asio::any_io_executor executor, relay::Relay& relay,
                   control::ControlClient& control)
    : executor_{executor}, relay_{relay}, control_{control}, answered_{executor} {}

Receipts::~Receipts() {
  close();
}

std::optional<std::string> Receipts::open(const std::filesystem::path& state_dir) {
  auto opened = control::ReceiptStore::open(state_dir);
  if (auto* error = std::get_if<control::ReceiptStoreError>(&opened)) return error->message;
  auto& log = std::get<control::ReceiptStore::Opened>(opened);
  store_ = std::move(log.store);
  std::size_t refused = 0;
  for (const wire::SettlementItem& item : log.items) {
    if (!relay_.receipt_book().on_restored(item, peers::RelayDriver::now())) ++refused;
  }
  if (!log.items.empty()) {
    log::info("receipts restored", log::field("records", log.items.size()),
              log::field("unusable", refused));
  }
  return std::nullopt;
}

void Receipts::on_connected(Duration submit_interval) {
  relay_.receipt_book().set_submit_interval(submit_interval);
}

void Receipts::on_disconnected() {
  relay_.receipt_book().on_submit_lost(peers::RelayDriver::now());
}

void Receipts::on_answer(std::uint64_t batch,
                         const std::vector<relay::ReceiptBook::Answer>& answers) {
  relay_.receipt_book().on_answer(batch, answers, peers::RelayDriver::now());
  for (const relay::ReceiptBook::Answer& answer : answers) {
    switch (answer.verdict) {
      case relay::ReceiptBook::Answer::Verdict::durable:
        store_->settle(answer.allocation, answer.settled_bytes);
        break;
      case relay::ReceiptBook::Answer::Verdict::refused:
        log::warn("the orchestrator refused a receipt for good",
                  log::field("settled_bytes", answer.settled_bytes));
        store_->forget(answer.allocation);
        break;
      case relay::ReceiptBook::Answer::Verdict::retry:
        break;
    }
  }
  answered_.pulse();
}

async::Task<void> Receipts::run() {
  for (;;) {
    const error_code ended = co_await async::sleep_for(kPumpInterval);
    if (ended) co_return;
    pump();
  }
}

void Receipts::pump() {
  relay::ReceiptBook& book = relay_.receipt_book();
  while (const auto item = book.poll_record()) store_->put(*item);
  const relay::Now now = peers::RelayDriver::now();
  if (control_.connected()) {
    if (auto batch = book.take_batch(now); batch && !control_.send_receipts(std::move(*batch))) {
      book.on_submit_lost(now);
    }
  }
  if (now.mono >= next_flush_) flush_later();
}

void Receipts::flush_later() {
  if (flushing_) return;
  flushing_ = true;
  next_flush_ = async::Clock::now() + kFlushInterval;
  boost::asio::post(disk_, [this] {
    auto error = store_->flush();
    boost::asio::post(executor_, [this, error = std::move(error)] {
      flushing_ = false;
      if (error && !std::exchange(disk_failed_, true)) {
        log::warn("receipts cannot be written to disk; they are kept in memory and tried again",
                  log::field("error", error->message));
      } else if (!error && std::exchange(disk_failed_, false)) {
        log::info("receipts are written to disk again");
      }
    });
  });
}

async::Task<void> Receipts::settle_last(Duration grace) {
  relay::ReceiptBook& book = relay_.receipt_book();
  const TimePoint deadline = async::Clock::now() + grace;
  book.set_submit_interval(Duration::zero());
  pump();
  while (control_.connected() && book.totals().open_records > 0) {
    const async::WaitResult waited = co_await answered_.wait(deadline);
    if (waited != async::WaitResult::signalled) break;
    pump();
  }
}

void Receipts::close() {
  disk_.join();
  if (!store_) return;
  if (const auto error = store_->flush()) {
    log::warn("the last receipts were not written to disk", log::field("error", error->message));
  }
  store_.reset();
}

}  // namespace tayga
