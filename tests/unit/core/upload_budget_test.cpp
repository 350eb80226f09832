#include "daemon/core/upload_budget.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/seeded_random.hpp"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

namespace tayga::relay {
namespace {

using Session = UploadBudget::Session;
constexpr TimePoint kStart{Duration{1h}};
constexpr std::size_t kFrame = 4120;

LocalTime noon() {
  using namespace std::chrono;
  return local_days{year{2026} / 3 / 2} + hours{12};
}

UploadLimits rate_of(std::uint64_t bps) {
  UploadLimits limits;
  limits.rate_bps = bps;
  return limits;
}

/// Sessions that always want more, each with a transport of its own overhead, in virtual time.
struct World {
  struct Child {
    Session session = 0;
    std::uint64_t overhead_ppm = 0;
    std::uint64_t frames_out = 0;
    std::uint64_t wire_out = 5000;  // the handshake
    bool wants = true;
    std::size_t frame = kFrame;
  };

  explicit World(const UploadLimits& limits, std::optional<MonthRecord> stored = std::nullopt)
      : budget{limits, stored} {
    budget.on_clock(noon(), now);
    save();
  }

  void save() {
    while (const auto record = budget.month().poll_save(now)) {
      disk = record;
      budget.month().on_saved(*record);
    }
  }

  Child& add(std::uint64_t overhead_ppm) {
    children.push_back({budget.open(), overhead_ppm});
    return children.back();
  }

  void send(Child& child, std::size_t bytes) {
    child.frames_out += bytes;
    const std::uint64_t wire = bytes + bytes * child.overhead_ppm / 1'000'000;
    child.wire_out += wire;
    sent.emplace_back(now, wire);
  }

  /// As a session does when it is told that there is media and has room.
  void pull(Child& child) {
    while (child.wants && budget.admit(child.session, now)) {
      budget.on_media(child.session, child.frame, now);
      send(child, child.frame);
    }
  }

  void turn() {
    while (const auto ready = budget.poll_ready(now)) {
      for (Child& child : children) {
        if (child.session != *ready) continue;
        if (!child.wants) budget.on_no_media(child.session, now);
        pull(child);
      }
    }
  }

  /// Wakes when the budget asks for it, up to `late` later, as timers are.
  void run(Duration time, test::SeededRandom& random, Duration late = 1ms) {
    const TimePoint end = now + time;
    TimePoint settle = now;
    while (now < end) {
      if (now >= settle) {
        for (Child& child : children) {
          budget.on_wire(child.session, {child.wire_out, child.frames_out}, now);
        }
        settle = now + 250ms;
        budget.on_clock(noon() + std::chrono::duration_cast<std::chrono::seconds>(now - kStart),
                        now);
        save();
      }
      turn();
      const TimePoint next = std::max(budget.next_timeout(now).value_or(now + 10ms), now);
      now = std::min({next + Duration{static_cast<Duration::rep>(
                                 random.between(1, static_cast<std::uint64_t>(late.count())))},
                      settle, end});
    }
  }

  /// The most and the least that left in any second, looked at every millisecond.
  [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> seconds_in(TimePoint from,
                                                                   TimePoint to) const {
    std::uint64_t most = 0;
    std::uint64_t least = ~std::uint64_t{0};
    std::size_t first = 0;
    std::size_t last = 0;
    std::uint64_t sum = 0;
    for (TimePoint begin = from; begin + 1s <= to; begin += 1ms) {
      for (; last < sent.size() && sent[last].first < begin + 1s; ++last) sum += sent[last].second;
      for (; first < last && sent[first].first < begin; ++first) sum -= sent[first].second;
      most = std::max(most, sum);
      least = std::min(least, sum);
    }
    return {most, least};
  }

  TimePoint now = kStart;
  UploadBudget budget;
  std::optional<MonthRecord> disk;
  std::vector<Child> children;
  std::vector<std::pair<TimePoint, std::uint64_t>> sent;
};

}  // namespace

TEST_CASE("every second is within one percent of the cap while there is demand") {
  TAYGA_SEEDED_RANDOM(random, 1);
  for (int round = 0; round < 20; ++round) {
    const std::uint64_t bps = random.between(8'000'000, 400'000'000);
    const Duration late = random.one_in(2) ? Duration{1ms} : Duration{25ms};
    CAPTURE(bps, late.count());
    World world{rate_of(bps)};
    const std::uint64_t count = random.between(1, 12);
    for (std::uint64_t i = 0; i < count; ++i) world.add(random.between(2'000, 40'000));
    for (auto& child : world.children) world.pull(child);
    world.run(6s, random, late);

    const auto [most, least] = world.seconds_in(kStart + 2s, world.now);  // overhead is measured
    CHECK(most <= bps / 8 * 101 / 100);
    // A wake-up that comes late is missed by the second that ends before it, whatever follows.
    CHECK(least >= bps / 8 * (late > 1ms ? 90 : 99) / 100);
    std::uint64_t total = 0;
    for (const auto& [at, bytes] : world.sent) total += at >= kStart + 2s ? bytes : 0;
    CHECK(total >= bps / 8 * 4 * 96 / 100);
    // From the first moment no second is over by more than the overhead that was not known yet.
    CHECK(world.seconds_in(kStart, world.now).first <= bps / 8 * 103 / 100);
  }
}

TEST_CASE("a cap of few frames a second is never exceeded and missed by less than three frames") {
  TAYGA_SEEDED_RANDOM(random, 2);
  for (const std::uint64_t bps : {256'000U, 1'000'000U, 3'000'000U}) {
    CAPTURE(bps);
    World world{rate_of(bps)};
    for (int i = 0; i < 3; ++i) world.add(6'000);
    for (auto& child : world.children) world.pull(child);
    world.run(20s, random);
    const auto [most, least] = world.seconds_in(kStart + 5s, world.now);
    CHECK(most <= bps / 8 * 101 / 100);
    CHECK(least + 3 * 4300 >= bps / 8);
  }
}

TEST_CASE("demand that comes and goes never breaks a second") {
  TAYGA_SEEDED_RANDOM(random, 3);
  World world{rate_of(20'000'000)};
  for (int i = 0; i < 5; ++i) world.add(10'000);
  world.run(2s, random);
  for (int step = 0; step < 200; ++step) {
    for (auto& child : world.children) {
      child.wants = random.one_in(2);
      if (child.wants) world.pull(child);
    }
    world.run(Duration{static_cast<Duration::rep>(random.between(1'000, 300'000))}, random, 10ms);
  }
  CHECK(world.seconds_in(kStart + 2s, world.now).first <= 2'500'000 / 100 * 101);
}

TEST_CASE("sessions that want all share the cap equally, whatever their frames and overhead") {
  TAYGA_SEEDED_RANDOM(random, 4);
  World world{rate_of(16'000'000)};
  for (const std::uint64_t overhead : {5'000U, 40'000U, 5'000U, 20'000U}) world.add(overhead);
  world.children[2].frame = 600;
  for (auto& child : world.children) world.pull(child);
  world.run(10s, random);
  const std::uint64_t fair = 16'000'000 / 8 * 10 / 4;
  for (const auto& child : world.children) {
    CHECK(child.wire_out > fair * 97 / 100);
    CHECK(child.wire_out < fair * 103 / 100);
  }
}

TEST_CASE("a session that wants little gets it while others want all") {
  TAYGA_SEEDED_RANDOM(random, 5);
  World world{rate_of(8'000'000)};
  for (int i = 0; i < 20; ++i) world.add(5'000);
  for (std::size_t i = 1; i < 20; ++i) world.pull(world.children[i]);
  auto& modest = world.children[0];
  modest.wants = false;
  std::uint64_t asked = 0;
  for (int step = 0; step < 50; ++step) {  // one frame in 200 ms: less than its 20th
    modest.wants = true;
    asked += 1;
    const std::uint64_t before = modest.frames_out;
    if (world.budget.admit(modest.session, world.now)) {
      world.budget.on_media(modest.session, kFrame, world.now);
      world.send(modest, kFrame);
    }
    const TimePoint deadline = world.now + 200ms;
    while (modest.frames_out == before && world.now < deadline) {
      while (const auto ready = world.budget.poll_ready(world.now)) {
        for (auto& child : world.children) {
          if (child.session != *ready) continue;
          if (&child != &modest) {
            world.pull(child);
          } else if (world.budget.admit(child.session, world.now)) {
            world.budget.on_media(child.session, kFrame, world.now);
            world.send(child, kFrame);
          }
        }
      }
      world.now += 1ms;
    }
    modest.wants = false;
    world.budget.on_no_media(modest.session, world.now);
    world.run(100ms, random);
  }
  CHECK(modest.frames_out == asked * kFrame);
}

TEST_CASE("a session that does not take its turn holds nobody up") {
  TAYGA_SEEDED_RANDOM(random, 6);
  World world{rate_of(8'000'000)};
  auto& stuck = world.add(5'000);
  const Session stuck_session = stuck.session;
  world.add(5'000);
  REQUIRE(world.budget.admit(stuck_session, world.now));  // and nothing more: its socket is full
  world.pull(world.children[1]);
  world.run(5s, random);
  const auto [most, least] = world.seconds_in(kStart + 2s, world.now);
  CHECK(most <= 1'010'000);
  CHECK(least >= 990'000);
}

TEST_CASE("one session is held to its own cap, and the others take the rest") {
  TAYGA_SEEDED_RANDOM(random, 7);
  UploadLimits limits = rate_of(16'000'000);
  limits.session_bps = 6'000'000;
  World world{limits};
  world.add(5'000);
  world.pull(world.children[0]);
  world.run(6s, random);
  const auto [most, least] = world.seconds_in(kStart + 2s, world.now);
  CHECK(most <= 757'500);
  CHECK(least >= 742'500 - kFrame);

  for (int i = 0; i < 3; ++i) world.add(5'000);
  for (auto& child : world.children) world.pull(child);
  const TimePoint crowded = world.now + 2s;
  world.run(6s, random);
  CHECK(world.seconds_in(crowded, world.now).first <= 2'020'000);
  CHECK(world.seconds_in(crowded, world.now).second >= 1'980'000);
}

TEST_CASE("control frames pass whatever the limits say, and are charged") {
  TAYGA_SEEDED_RANDOM(random, 8);
  World world{rate_of(8'000'000)};
  auto& child = world.add(5'000);
  world.pull(child);
  world.run(2s, random);
  const TimePoint from = world.now;
  for (int i = 0; i < 300; ++i) {  // 20 % of the cap
    world.budget.on_control(child.session, 2'000, world.now);
    world.send(world.children[0], 2'000);
    world.run(10ms, random);
  }
  CHECK(world.seconds_in(from, world.now).first <= 1'010'000);

  UploadLimits metered;
  metered.metered = true;
  UploadBudget closed{metered, std::nullopt};
  closed.on_clock(noon(), kStart);
  const Session session = closed.open();
  CHECK_FALSE(closed.admit(session, kStart));
  closed.on_control(session, 500, kStart);
  CHECK(closed.counters(kStart).control_bytes >= 500);
  CHECK(closed.month().used_bytes() >= 500);
}

TEST_CASE("what is sent again is charged to the seconds that follow") {
  TAYGA_SEEDED_RANDOM(random, 9);
  World world{rate_of(8'000'000)};
  auto& child = world.add(30'000);
  world.pull(child);
  world.run(3s, random);
  const TimePoint from = world.now;
  std::uint64_t again = 0;
  for (int i = 0; i < 100; ++i) {  // 2 % of the media, all through
    world.children[0].wire_out += 1'000;
    again += 1'000;
    world.sent.emplace_back(world.now, 1'000);
    world.run(50ms, random);
  }
  CHECK(world.seconds_in(from + 1s, world.now).first <= 1'015'000);
  std::uint64_t total = 0;
  for (const auto& [at, bytes] : world.sent) total += at >= from ? bytes : 0;
  CHECK(total <= 5'050'000);
  CHECK(total >= 4'950'000);
}

TEST_CASE("metered, a closed schedule and a used-up quota stop media and say why") {
  UploadLimits limits;
  limits.metered = true;
  CHECK(UploadBudget{limits, std::nullopt}.blocked() == UploadBlock::metered);

  limits = {};
  REQUIRE(limits.schedule.add("mon 13:00-14:00"));
  UploadBudget nights{limits, std::nullopt};
  nights.on_clock(noon(), kStart);
  const Session session = nights.open();
  CHECK(nights.blocked() == UploadBlock::schedule);
  CHECK_FALSE(nights.admit(session, kStart));
  CHECK(nights.poll_ready(kStart) == std::nullopt);
  CHECK(nights.next_timeout(kStart) == std::nullopt);
  nights.on_clock(noon() + std::chrono::hours{1}, kStart + 1h);
  CHECK(nights.poll_ready(kStart + 1h) == session);
  CHECK(nights.admit(session, kStart + 1h));
  nights.on_media(session, kFrame, kStart + 1h);
  CHECK(nights.counters(kStart + 1h).blocked == 1h);

  limits = {};
  limits.monthly_bytes = 100'000'000;
  UploadBudget used{limits, MonthRecord{2026 * 12 + 2, 98'000'000}};
  used.on_clock(noon(), kStart);
  CHECK(used.blocked() == UploadBlock::quota);
}

TEST_CASE("the quota holds at the socket, across crashes") {
  TAYGA_SEEDED_RANDOM(random, 10);
  UploadLimits limits = rate_of(80'000'000);
  limits.monthly_bytes = 100'000'000;
  std::optional<MonthRecord> disk;
  std::uint64_t sent = 0;
  for (int life = 0; life < 20; ++life) {
    World world{limits, disk};
    world.add(20'000);
    for (auto& child : world.children) world.pull(child);
    world.run(Duration{static_cast<Duration::rep>(random.between(100'000, 3'000'000))}, random);
    for (const auto& [at, bytes] : world.sent) sent += bytes;
    for (const auto& child : world.children) sent += child.wire_out > 0 ? 5000 : 0;
    CHECK(sent <= limits.monthly_bytes);
    if (world.disk) disk = world.disk;
  }
  CHECK(sent > limits.monthly_bytes / 2);
}

TEST_CASE("courtesy takes its share of the cap at once and gives it back") {
  TAYGA_SEEDED_RANDOM(random, 12);
  World world{rate_of(16'000'000)};
  for (int i = 0; i < 2; ++i) world.add(5'000);
  for (auto& child : world.children) world.pull(child);
  world.run(3s, random);
  world.budget.set_courtesy(250, world.now);
  TimePoint from = world.now;
  world.run(4s, random);
  CHECK(world.seconds_in(from, world.now).first <= 505'000);
  CHECK(world.seconds_in(from, world.now).second >= 495'000 - kFrame);
  world.budget.set_courtesy(0, world.now);
  CHECK(world.budget.blocked() == UploadBlock::courtesy);
  from = world.now;
  world.run(1s, random);
  CHECK(world.seconds_in(from, world.now).first == 0);
  world.budget.set_courtesy(1000, world.now);
  world.run(1s, random);
  from = world.now;
  world.run(3s, random);
  CHECK(world.seconds_in(from, world.now).second >= 1'980'000);
}

TEST_CASE("sessions may end at any moment, and their places are given again") {
  TAYGA_SEEDED_RANDOM(random, 13);
  UploadLimits limits = rate_of(20'000'000);
  limits.session_bps = 9'000'000;
  World world{limits};
  for (int step = 0; step < 400; ++step) {
    if (world.children.empty() || random.one_in(2)) {
      world.pull(world.add(random.between(2'000, 40'000)));
    } else {
      const std::size_t victim = random.index(world.children.size());
      world.budget.close(world.children[victim].session, world.now);
      world.children.erase(world.children.begin() + static_cast<std::ptrdiff_t>(victim));
    }
    world.run(20ms, random, 5ms);
    REQUIRE(world.budget.waiting() <= world.children.size());
  }
  while (!world.children.empty()) {
    world.budget.close(world.children.back().session, world.now);
    world.children.pop_back();
  }
  CHECK(world.budget.waiting() == 0);
  CHECK(world.budget.next_timeout(world.now) == std::nullopt);
}

TEST_CASE("without a limit nothing waits") {
  World world{UploadLimits{}};
  auto& child = world.add(5'000);
  for (int i = 0; i < 100'000; ++i) {
    REQUIRE(world.budget.admit(child.session, world.now));
    world.budget.on_media(child.session, kFrame, world.now);
  }
  CHECK(world.budget.waiting() == 0);
  CHECK(world.budget.counters(world.now).blocked == Duration{0});
}

}  // namespace tayga::relay
