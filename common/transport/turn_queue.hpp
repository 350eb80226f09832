#pragma once

#include "common/base/time.hpp"

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
/// One post serves all who asked since the last one, and one timer all who wait: the delay is the
/// same for everybody, so they wait in a queue. Bounded by its users: each asks at most once for
/// either turn before it has had it. One who is destroyed meanwhile is passed over. Not
/// thread-safe.
class TurnQueue : public std::enable_shared_from_this<TurnQueue> {
 public:
  TurnQueue(boost::asio::any_io_executor executor, Duration delay);

  void schedule(std::weak_ptr<TurnTaker> who);
  void schedule_delayed(std::weak_ptr<TurnTaker> who);

 private:
  void run_soon();
  void arm_timer();
  void run_delayed();

  boost::asio::any_io_executor executor_;
  const Duration delay_;
  std::vector<std::weak_ptr<TurnTaker>> soon_;
  std::size_t rotation_ = 0;
  std::deque<std::pair<TimePoint, std::weak_ptr<TurnTaker>>> delayed_;
  boost::asio::steady_timer timer_;
  bool timer_armed_ = false;
};

}  // namespace tayga::transport
