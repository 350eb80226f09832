#pragma once

#include "common/base/time.hpp"
#include "common/transport/flush_pacer.hpp"
#include "common/transport/thread_time.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

namespace tayga::transport {

enum class Turn : std::uint8_t {
  soon,     ///< asked for by schedule()
  delayed,  ///< asked for by schedule_delayed()
};

class TurnTaker {
 public:
  virtual void on_turn(Turn turn) = 0;

 protected:
  ~TurnTaker() = default;
};

/// Gives many sessions their turn to write, from the executor and never inside a call.
///
/// One post serves those who asked since the last one, and one timer all who wait, in the order in
/// which they began to. Neither serves for longer than kTurnSlice at a time: then the executor's
/// other work goes first, so a burst to a thousand children does not delay a timer. Who asks again
/// while others still wait comes after them. Bounded by its users: each asks at most once for
/// either turn before it has had it. One who is destroyed meanwhile is passed over. Not
/// thread-safe.
class TurnQueue : public std::enable_shared_from_this<TurnQueue> {
 public:
  static constexpr Duration kTurnSlice = 1ms;

  TurnQueue(boost::asio::any_io_executor executor, FlushDelay delay);

  void schedule(std::weak_ptr<TurnTaker> who);
  /// A turn after delay(), as it is now.
  void schedule_delayed(std::weak_ptr<TurnTaker> who);

  /// How long media waits for company now: it follows the load of the executor's thread. 0: do not
  /// wait at all, write on the turn at hand.
  [[nodiscard]] Duration delay() const noexcept { return pacer_.delay(); }

 private:
  void post_soon();
  void run_soon();
  void arm_timer();
  void run_delayed();
  TimePoint begin_slice();

  boost::asio::any_io_executor executor_;
  FlushPacer pacer_;
  ThreadClock thread_clock_;
  std::vector<std::weak_ptr<TurnTaker>> asked_;  // for the next round
  std::vector<std::weak_ptr<TurnTaker>> round_;  // being served
  std::size_t served_ = 0;                       // of round_
  std::size_t first_ = 0;                        // in round_, from where it is served
  std::size_t rotation_ = 0;
  bool posted_ = false;
  std::deque<std::pair<TimePoint, std::weak_ptr<TurnTaker>>> delayed_;  // by time
  boost::asio::steady_timer timer_;
  bool timer_armed_ = false;
};

}  // namespace tayga::transport
