#pragma once

#include "common/async/task.hpp"
#include "common/base/result.hpp"
#include "common/base/time.hpp"
#include "common/transport/transport.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace tayga::transport {

/// Which of several ways to a peer is tried when (RFC 8305, "happy eyeballs"): the first at once,
/// each next one when the one before has had its head start, or at once when one failed.
///
/// Sans-IO. Start what poll_start() names until it is empty, after every call and at
/// next_timeout().
class DialRace {
 public:
  /// Pre: ways >= 1.
  DialRace(std::size_t ways, Duration head_start, TimePoint now);

  [[nodiscard]] std::optional<std::size_t> poll_start(TimePoint now);
  void on_failed(error_code error, TimePoint now);
  [[nodiscard]] bool is_lost() const noexcept { return failed_ == ways_; }
  /// The most telling of the errors so far; timed_out when there was none.
  [[nodiscard]] error_code error() const noexcept { return error_; }
  [[nodiscard]] std::optional<TimePoint> next_timeout() const;

 private:
  const std::size_t ways_;
  const Duration head_start_;
  TimePoint next_start_;
  std::size_t started_ = 0;
  std::size_t failed_ = 0;
  error_code error_;
};

/// The one of two errors of the same dial that says more: somebody else is there, then nobody who
/// speaks tayga/1, then our own limits, then a refusal, then silence.
error_code more_telling(error_code a, error_code b) noexcept;

/// One way to a peer. Called once, with the time that is left for it.
using DialWay = std::function<async::Task<Result<std::unique_ptr<Session>>>(Duration timeout)>;

struct DialOutcome {
  Result<std::unique_ptr<Session>> session;
  std::size_t way = 0;  ///< that won
};

/// Races the ways; the winner's session is returned, the others are cancelled, and what they bring
/// nevertheless is closed. Errors: more_telling() of theirs; timed_out after `timeout`;
/// operation_aborted when the task is cancelled. Pre: at least one way.
async::Task<DialOutcome> run_dial_race(boost::asio::any_io_executor executor,
                                       std::vector<DialWay> ways, Duration head_start,
                                       Duration timeout);

}  // namespace tayga::transport
