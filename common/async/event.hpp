#pragma once

#include "common/async/task.hpp"
#include "common/base/time.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

namespace tayga::async {

enum class WaitResult : std::uint8_t {
  signalled,
  deadline,   ///< the deadline passed first
  cancelled,  ///< the waiting task was cancelled, or the event was destroyed
};

/// Something that any number of coroutines on one executor wait for.
///
/// `manual`: set() wakes every waiter and stays set until reset(). `automatic`: set() wakes the one
/// that waited longest, or lets the next one pass. A woken task runs later, from the executor,
/// never inside set(); it must look again at what it waited for. Destroying the event wakes all
/// waiters. Not thread-safe: use it on its executor. A waiter costs one timer and no thread.
class Event {
 public:
  enum class Reset : std::uint8_t { manual, automatic };

  explicit Event(asio::any_io_executor executor, Reset reset = Reset::manual);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void set();
  void reset() noexcept;
  /// Wakes all who wait now and leaves the event unset: "something changed, look again".
  void pulse();

  /// Returns at once when the event is set; otherwise when it is, when `deadline` (on Clock's
  /// timeline) has passed, or when the task is cancelled. The event may be destroyed meanwhile.
  [[nodiscard]] Task<WaitResult> wait(std::optional<TimePoint> deadline = std::nullopt);

  [[nodiscard]] bool is_set() const noexcept;
  [[nodiscard]] std::size_t waiter_count() const noexcept;

 private:
  struct State;
  struct Waiter;
  static Task<WaitResult> run_wait(std::shared_ptr<State> state, std::optional<TimePoint> deadline);

  std::shared_ptr<State> state_;
};

}  // namespace tayga::async
