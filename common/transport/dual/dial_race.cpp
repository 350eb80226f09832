#include "common/transport/dual/dial_race.hpp"

#include "common/async/clock.hpp"
#include "common/async/event.hpp"
#include "common/async/task_group.hpp"
#include "common/base/check.hpp"

#include <boost/asio/error.hpp>

#include <algorithm>
#include <utility>

namespace tayga::transport {
namespace {

using async::Clock;

/// What the ways have brought, shared with them: a way may end after the race.
struct Finish {
  explicit Finish(const boost::asio::any_io_executor& executor) : changed{executor} {}

  async::Event changed;
  std::optional<std::size_t> winner;
  std::unique_ptr<Session> session;
  std::vector<error_code> failures;  // not yet told to the race
  bool over = false;
};

async::Task<void> run_way(std::shared_ptr<Finish> finish, std::size_t index, DialWay way,
                          Duration timeout) {
  auto session = co_await way(timeout);
  if (finish->over || finish->winner) co_return;  // a late session closes here
  if (session) {
    finish->winner = index;
    finish->session = std::move(*session);
  } else {
    finish->failures.push_back(session.error());
  }
  finish->changed.pulse();
}

int rank(const error_code& error) noexcept {
  if (error == TransportErrc::wrong_peer) return 5;
  if (error == TransportErrc::handshake_failed) return 4;
  if (error == TransportErrc::too_many_sessions) return 3;
  if (error == TransportErrc::connect_failed) return 2;
  if (error == TransportErrc::timed_out) return 1;
  return 0;
}

}  // namespace

error_code more_telling(error_code a, error_code b) noexcept {
  return rank(b) > rank(a) ? b : a;
}

DialRace::DialRace(std::size_t ways, Duration head_start, TimePoint now)
    : ways_{ways}, head_start_{head_start}, next_start_{now}, error_{TransportErrc::timed_out} {
  TAYGA_CHECK(ways >= 1);
}

std::optional<std::size_t> DialRace::poll_start(TimePoint now) {
  if (started_ == ways_ || now < next_start_) return std::nullopt;
  next_start_ = now + head_start_;
  return started_++;
}

void DialRace::on_failed(error_code error, TimePoint now) {
  error_ = failed_ == 0 ? error : more_telling(error_, error);
  ++failed_;
  next_start_ = now;
}

std::optional<TimePoint> DialRace::next_timeout() const {
  if (started_ == ways_) return std::nullopt;
  return next_start_;
}

async::Task<DialOutcome> run_dial_race(boost::asio::any_io_executor executor,
                                       std::vector<DialWay> ways, Duration head_start,
                                       Duration timeout) {
  const TimePoint deadline = Clock::now() + timeout;
  const auto finish = std::make_shared<Finish>(executor);
  async::TaskGroup group{executor, "dial race", ways.size()};
  DialRace race{ways.size(), head_start, Clock::now()};
  error_code ended;
  while (!ended && !finish->winner) {
    const TimePoint now = Clock::now();
    for (const error_code& failure : std::exchange(finish->failures, {})) {
      race.on_failed(failure, now);
    }
    while (const auto way = race.poll_start(now)) {
      (void)group.spawn(run_way(finish, *way, std::move(ways[*way]), deadline - now));
    }
    if (race.is_lost()) {
      ended = race.error();
    } else if (now >= deadline) {
      ended = more_telling(race.error(), TransportErrc::timed_out);
    } else {
      const TimePoint until = std::min(deadline, race.next_timeout().value_or(deadline));
      const async::WaitResult waited = co_await finish->changed.wait(until);
      if (waited == async::WaitResult::cancelled) ended = boost::asio::error::operation_aborted;
    }
  }
  finish->over = true;
  group.cancel();
  co_await group.join();
  DialOutcome outcome{ended, finish->winner.value_or(0)};
  if (!ended) outcome.session = std::move(finish->session);
  co_return outcome;
}

}  // namespace tayga::transport
