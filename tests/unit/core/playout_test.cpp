#include "daemon/core/playout.hpp"

#include "daemon/core/cached_slice.hpp"
#include "tests/sim/relay_world.hpp"
#include "tests/support/catch.hpp"

using namespace tayga;
using namespace tayga::relay;
using sim::at;
using sim::kStart;

namespace {

constexpr Duration kWindow = 1s;

/// Feeds a store as a relay would, in the order that the test says.
struct Fixture {
  sim::RelayWorld world;
  sim::TestPublisher publisher{world, TrackId{1}};
  ObjectStore store;
  Playout playout{kWindow, at(kStart).wall};
  TimePoint now = kStart;

  std::vector<media::SignedSlice> make(unsigned number) {
    return publisher.segment(number, 10'000, at(now));
  }
  void feed(const std::vector<media::SignedSlice>& slices, std::size_t skip_last = 0) {
    const ObjectStore::Late late{kWindow, WallTime{}};
    for (const auto& slice : slices) {
      store.on_header(slice.header, at(now), late);
      for (std::size_t i = 0; i + skip_last < slice.chunk_frames.size(); ++i) {
        const SharedBytes& frame = slice.chunk_frames[i];
        store.on_chunk(slice.header, i, frame, chunk_payload(frame), at(now), late);
      }
    }
    playout.update(store, at(now));
  }
  bool released(unsigned object) {
    return playout.is_released({PublisherEpoch{1000}, ObjectId{object}});
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "objects are released in their order, however they come") {
  const auto first = make(1);
  const auto second = make(2);
  const auto third = make(3);
  feed(first);
  CHECK(released(0));
  feed(third);
  feed(second, 1);
  CHECK_FALSE(released(1));
  CHECK_FALSE(released(2));
  feed(second);
  CHECK(released(2));
  CHECK(playout.counters().released == 3);
  CHECK(playout.counters().given_up == 0);
}

TEST_CASE_METHOD(Fixture,
                 "what blocks is given up when its window is over, what follows is released") {
  const auto first = make(1);
  const auto second = make(2);
  const auto third = make(3);
  feed(first);
  feed(second, 1);
  feed(third);
  REQUIRE(playout.next_timeout());
  CHECK(*playout.next_timeout() == at(kStart).wall + kWindow);
  now = kStart + kWindow - 1us;
  playout.update(store, at(now));
  CHECK_FALSE(released(2));
  now = kStart + kWindow;
  playout.update(store, at(now));
  CHECK(released(2));
  CHECK(playout.counters().given_up == 1);
  feed(second);  // its rest comes late: it was decided
  CHECK(playout.counters().released == 2);
}

TEST_CASE_METHOD(Fixture,
                 "a join in the middle of an object waits for no begin that was never here") {
  const auto first = make(1);
  const auto second = make(2);
  feed(first, 1);
  CHECK_FALSE(playout.next_timeout());
  feed(second);
  CHECK(released(1));
  CHECK(playout.counters().given_up == 0);
}
