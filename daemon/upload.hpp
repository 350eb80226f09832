#pragma once

#include "daemon/core/upload_budget.hpp"
#include "daemon/peers/upload_gate.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include <filesystem>
#include <functional>
#include <optional>

namespace tayga {

/// The daemon's upload budget with its clocks and its month's count on disk.
///
/// On the daemon's executor; the disk is touched in a thread of its own, because a sync may take
/// seconds on a memory card.
class Upload {
 public:
  /// `stored` is what load_upload_month() gave for the state directory.
  Upload(boost::asio::any_io_executor executor, const relay::UploadLimits& limits,
         std::optional<relay::MonthRecord> stored, const std::filesystem::path& state_dir);
  ~Upload();
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  /// Begins to count on disk. Call once this process is known to be the only one there.
  void start();
  [[nodiscard]] peers::UploadGate& gate() noexcept { return gate_; }
  [[nodiscard]] relay::UploadBudget& budget() noexcept { return budget_; }
  [[nodiscard]] const relay::UploadBudget& budget() const noexcept { return budget_; }

  /// Whether media will be stopped for longer than a breath: then nobody shall be our child.
  [[nodiscard]] bool is_paused(TimePoint now);

  /// Writes the exact count; nothing may be sent behind it. Idempotent.
  void close();

 private:
  void on_tick();
  void save(const relay::MonthRecord& record);

  boost::asio::any_io_executor executor_;
  std::filesystem::path path_;
  relay::UploadBudget budget_;
  peers::UploadGate gate_;
  boost::asio::steady_timer timer_;
  std::optional<TimePoint> blocked_since_;
  bool started_ = false;
  bool disk_failed_ = false;
  boost::asio::thread_pool disk_{1};
};

}  // namespace tayga
