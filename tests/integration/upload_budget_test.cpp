#include "common/async/clock.hpp"
#include "daemon/upload.hpp"
#include "daemon/upload_month_file.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/test_network.hpp"

#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <memory>
#include <vector>

namespace tayga::test {
namespace {

using boost::asio::io_context;

constexpr std::size_t kSegmentSize = 200'000;

/// A gateway under a budget, with children that want more than it gives.
struct Crowd {
  Crowd(const relay::UploadLimits& limits, std::size_t child_count,
        std::optional<relay::MonthRecord> stored = std::nullopt)
      : upload{io.get_executor(), limits, stored, folder.path()},
        gateway{io, network, {}, &upload.gate()} {
    upload.start();
    for (std::size_t i = 0; i < child_count; ++i) {
      children.push_back(std::make_unique<TestNode>(io, network));
      children.back()->play();
      children.back()->follow({&gateway});
    }
  }

  /// Children with a subscription.
  [[nodiscard]] std::size_t served() {
    return gateway.relay().children(async::Clock::now()).size();
  }
  [[nodiscard]] std::uint64_t sent() { return gateway.driver().traffic().bytes_out; }

  io_context io;
  TemporaryFolder folder;
  TestNetwork network{1};
  Upload upload;
  TestNode gateway;
  std::vector<std::unique_ptr<TestNode>> children;
};

}  // namespace

TEST_CASE("three children of a node with 8 Mbit/s get that, at the socket, in every second") {
  relay::UploadLimits limits;
  limits.rate_bps = 8'000'000;
  Crowd crowd{limits, 3};
  TestPublisher publisher{crowd.gateway, crowd.network, 1};
  REQUIRE(run_until(crowd.io, 10s, [&] { return crowd.served() == 3; }));
  TimePoint publish_at = async::Clock::now();
  const auto publish_when_due = [&] {  // 4 Mbit/s: a half more than there is for three
    if (async::Clock::now() < publish_at) return;
    publisher.publish(kSegmentSize);
    publish_at += 400ms;
  };
  run_until(crowd.io, 2s, [&] {  // its overhead is measured, its queues are never empty
    publish_when_due();
    return false;
  });

  struct Sample {
    TimePoint at;
    std::uint64_t sent;
  };
  std::vector<Sample> samples;
  const TimePoint end = async::Clock::now() + 5s;
  run_until(crowd.io, 10s, [&] {
    publish_when_due();
    samples.push_back({async::Clock::now(), crowd.sent()});
    return samples.back().at >= end;
  });

  // Windows begin and end between two turns of the loop; where a turn was late the window is longer
  // than a second, and so is what it may hold.
  std::size_t windows = 0;
  std::size_t last = 0;
  for (const Sample& first : samples) {
    while (last < samples.size() && samples[last].at < first.at + 1s) ++last;
    if (last == samples.size()) break;
    const double seconds = std::chrono::duration<double>(samples[last].at - first.at).count();
    const auto bytes = static_cast<double>(samples[last].sent - first.sent);
    REQUIRE(bytes <= 1'000'000 * seconds * 1.01);
    ++windows;
  }
  CHECK(windows > 20);
  // Loosely: a machine with other work to do is late.
  const double whole =
      std::chrono::duration<double>(samples.back().at - samples.front().at).count();
  CHECK(static_cast<double>(samples.back().sent - samples.front().sent) >= 1'000'000 * whole * 0.5);
  const auto views = crowd.gateway.driver().peers();
  REQUIRE(views.size() == 3);
  for (const peers::PeerView& view : views) {
    CHECK(view.stats.bytes_out > crowd.sent() / 3 * 8 / 10);
    CHECK(view.stats.bytes_out < crowd.sent() / 3 * 12 / 10);
  }
  CHECK(crowd.children.front()->lost().empty());
}

TEST_CASE("a metered node sends no media, and its children keep their sessions") {
  relay::UploadLimits limits;
  limits.metered = true;
  Crowd crowd{limits, 1};
  TestPublisher publisher{crowd.gateway, crowd.network, 2};
  REQUIRE(run_until(crowd.io, 10s, [&] { return !crowd.gateway.driver().peers().empty(); }));
  publisher.publish(kSegmentSize);
  run_until(crowd.io, 1s, [] { return false; });
  CHECK(crowd.gateway.relay().counters().media_bytes_out == 0);
  CHECK(crowd.upload.budget().counters(async::Clock::now()).control_bytes > 0);
  CHECK(crowd.children.front()->played().empty());
  CHECK(crowd.upload.is_paused(async::Clock::now()));
}

TEST_CASE("a used-up month stops media at the quota, and the exact count outlives the process") {
  relay::UploadLimits limits;
  limits.monthly_bytes = 100'000'000;
  const relay::LocalTime today = peers::local_now();
  relay::UploadMonth probe{1, 0, std::nullopt};
  probe.on_clock(today, TimePoint{});
  const std::int32_t period = probe.final_record().period;
  Crowd crowd{limits, 2, relay::MonthRecord{period, 97'000'000}};
  TestPublisher publisher{crowd.gateway, crowd.network, 3};
  REQUIRE(run_until(crowd.io, 10s, [&] { return crowd.served() == 2; }));
  for (int i = 0; i < 10; ++i) publisher.publish(kSegmentSize);  // 4 MB for both; 1 MB is left
  REQUIRE(run_until(crowd.io, 10s,
                    [&] { return crowd.upload.budget().blocked() == relay::UploadBlock::quota; }));
  const auto disk = std::get<std::optional<relay::MonthRecord>>(
      load_upload_month(upload_month_path(crowd.folder.path())));
  REQUIRE(disk);
  CHECK(disk->bytes >= 97'000'000 + crowd.sent());  // what a kill would leave
  run_until(crowd.io, 500ms, [] { return false; });
  CHECK(crowd.sent() < 1'300'000);
  CHECK(crowd.sent() > 900'000);
  CHECK(97'000'000 + crowd.sent() < limits.monthly_bytes);

  crowd.upload.close();
  const auto last = std::get<std::optional<relay::MonthRecord>>(
      load_upload_month(upload_month_path(crowd.folder.path())));
  REQUIRE(last);
  CHECK(last->bytes == crowd.upload.budget().month().used_bytes());
}

TEST_CASE("children of a node that may send nothing learn it") {
  relay::UploadLimits limits;
  Crowd crowd{limits, 1};
  TestPublisher publisher{crowd.gateway, crowd.network, 4};
  TestNode& child = *crowd.children.front();
  publisher.publish(kSegmentSize);
  REQUIRE(run_until(crowd.io, 10s, [&] { return child.played().size() == 1; }));
  crowd.gateway.driver().input([](relay::Relay& relay, relay::Now now) {
    relay.on_serving(relay::Relay::Serving::closed, 2s, now);
  });
  REQUIRE(run_until(crowd.io, 5s, [&] { return !child.lost().empty(); }));
  CHECK(child.lost().front().reason == relay::LossReason::go_away);
}

}  // namespace tayga::test
