#pragma once

#include "common/async/event.hpp"
#include "common/async/task.hpp"
#include "daemon/control/control_client.hpp"
#include "daemon/control/receipt_store.hpp"
#include "daemon/peers/relay_driver.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tayga {

/// Carries receipts from the relay's book to the disk and to the orchestrator.
///
/// On the daemon's executor; the disk is touched in a thread of its own, because a flush may block
/// for as long as the disk takes.
class Receipts {
 public:
  Receipts(boost::asio::any_io_executor executor, relay::Relay& relay,
           control::ControlClient& control);
  ~Receipts();

  /// Opens the log and restores what was not settled. What went wrong, in words; nullopt = fine.
  std::optional<std::string> open(const std::filesystem::path& state_dir);
  void on_connected(Duration submit_interval);
  void on_disconnected();
  void on_answer(std::uint64_t batch, const std::vector<relay::ReceiptBook::Answer>& answers);

  /// Until cancelled: hands records to the disk and due batches to the orchestrator.
  async::Task<void> run();
  /// Submits what is left now and waits for the answers, at most `grace`.
  async::Task<void> settle_last(Duration grace);
  /// The last flush; joins the disk's thread.
  void close();

 private:
  void pump();
  void flush_later();

  boost::asio::any_io_executor executor_;
  relay::Relay& relay_;
  control::ControlClient& control_;
  std::unique_ptr<control::ReceiptStore> store_;
  async::Event answered_;
  TimePoint next_flush_{};
  bool flushing_ = false;
  bool disk_failed_ = false;
  boost::asio::thread_pool disk_{1};
};

}  // namespace tayga
