#include "common/transport/dual/dial_race.hpp"

#include "tests/support/catch.hpp"

#include <vector>

namespace tayga::transport {
namespace {

constexpr TimePoint t0{1000s};
constexpr Duration kHeadStart = 250ms;

std::vector<std::size_t> starts_at(DialRace& race, TimePoint now) {
  std::vector<std::size_t> started;
  while (const auto way = race.poll_start(now)) started.push_back(*way);
  return started;
}

using Ways = std::vector<std::size_t>;

}  // namespace

TEST_CASE("each way of a race has its head start over the next one") {
  DialRace race{3, kHeadStart, t0};
  CHECK(starts_at(race, t0) == Ways{0});
  CHECK(race.next_timeout() == t0 + kHeadStart);
  CHECK(starts_at(race, t0 + kHeadStart - 1us) == Ways{});
  CHECK(starts_at(race, t0 + kHeadStart) == Ways{1});
  CHECK(starts_at(race, t0 + 2 * kHeadStart) == Ways{2});
  CHECK_FALSE(race.next_timeout());
  CHECK(starts_at(race, t0 + 10s) == Ways{});
}

TEST_CASE("when a way fails the next one starts at once") {
  DialRace race{3, kHeadStart, t0};
  CHECK(starts_at(race, t0) == Ways{0});
  race.on_failed(TransportErrc::connect_failed, t0 + 10ms);
  CHECK(starts_at(race, t0 + 10ms) == Ways{1});
  CHECK(race.next_timeout() == t0 + 10ms + kHeadStart);
}

TEST_CASE("a race is lost when every way failed, not before") {
  DialRace race{2, kHeadStart, t0};
  CHECK(starts_at(race, t0) == Ways{0});
  race.on_failed(TransportErrc::connect_failed, t0);
  CHECK_FALSE(race.is_lost());
  CHECK(starts_at(race, t0) == Ways{1});
  race.on_failed(TransportErrc::timed_out, t0 + 5s);
  CHECK(race.is_lost());
  CHECK(race.error() == TransportErrc::connect_failed);
}

TEST_CASE("the error of a race is the most telling of its ways'") {
  const std::vector<TransportErrc> ranked{
      TransportErrc::timed_out, TransportErrc::connect_failed, TransportErrc::too_many_sessions,
      TransportErrc::handshake_failed, TransportErrc::wrong_peer};
  for (std::size_t low = 0; low < ranked.size(); ++low) {
    for (std::size_t high = low; high < ranked.size(); ++high) {
      CHECK(more_telling(ranked[low], ranked[high]) == ranked[high]);
      CHECK(more_telling(ranked[high], ranked[low]) == ranked[high]);
    }
  }
}

}  // namespace tayga::transport
