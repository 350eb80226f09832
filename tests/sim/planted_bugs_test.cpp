// Bugs that a relay could have, planted at its boundary: each is found by an invariant.
#include "tests/sim/scenario.hpp"
#include "tests/sim/trial.hpp"
#include "tests/support/catch.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>

using namespace tayga;
using namespace tayga::sim;

namespace {

constexpr std::uint64_t kSeedsMax = 1000;

SimOptions small_run(std::uint64_t seed) {
  SimOptions options;
  options.nodes = 12;
  options.seed = seed;
  options.duration = 40s;
  options.bitrate_bps = 200'000;
  options.stripes = 1;
  return options;
}

/// The bug is in one of 64 processes' builds, say: most runs do not have it.
bool has_bug(std::uint64_t seed, NodeIndex node) {
  return node != kGatewayNode && Draws{seed, node, Purpose::tamper}.below(64) == 0;
}

/// Forwards what came without looking at its hash: a bit that flips in its memory goes on.
class ForwardsUnverified final : public NetTap {
 public:
  explicit ForwardsUnverified(std::uint64_t seed) : seed_{seed} {}
  unsigned on_send(NodeIndex from, NodeIndex, SharedBytes& frame) override {
    if (!has_bug(seed_, from) || frame_type(frame) != wire::FrameType::chunk) return 1;
    if (++count_ % 50 != 0) return 1;
    Bytes changed = *frame;
    changed[changed.size() / 2] ^= std::byte{4};
    frame = std::make_shared<const Bytes>(std::move(changed));
    return 1;
  }
  unsigned on_send(NodeIndex, NodeIndex, relay::PeerMessage&) override { return 1; }

 private:
  std::uint64_t seed_;
  unsigned count_ = 0;
};

/// Forgets once in a while that a child was given a frame, and gives it again.
class SendsTwice final : public NetTap {
 public:
  explicit SendsTwice(std::uint64_t seed) : seed_{seed} {}
  unsigned on_send(NodeIndex from, NodeIndex, SharedBytes&) override {
    return has_bug(seed_, from) && ++count_ % 200 == 0 ? 2 : 1;
  }
  unsigned on_send(NodeIndex, NodeIndex, relay::PeerMessage&) override { return 1; }

 private:
  std::uint64_t seed_;
  unsigned count_ = 0;
};

/// Promotes its standby, and everybody above, in its mind only: after a first subscription to a
/// stripe the later ones never leave, and what is missing is not asked for.
class NeverAsksAgain final : public NetTap {
 public:
  explicit NeverAsksAgain(std::uint64_t seed) : seed_{seed} {}
  unsigned on_send(NodeIndex, NodeIndex, SharedBytes&) override { return 1; }
  unsigned on_send(NodeIndex from, NodeIndex, relay::PeerMessage& message) override {
    if (!has_bug(seed_, from)) return 1;
    if (std::holds_alternative<relay::Fetch>(message)) return 0;
    const auto* subscribe = std::get_if<relay::Subscribe>(&message);
    if (subscribe == nullptr || subscribe->mode != relay::SubscribeMode::active) return 1;
    return asked_.insert({from, subscribe->track}).second ? 1 : 0;
  }

 private:
  std::uint64_t seed_;
  std::set<std::pair<NodeIndex, TrackId>> asked_;
};

struct Found {
  std::uint64_t runs = 0;
  std::string rule;
};

/// Runs seed by seed until an invariant is violated.
template <class Bug>
std::optional<Found> find_bug(const char* scenario) {
  for (std::uint64_t seed = 1; seed <= kSeedsMax; ++seed) {
    const SimOptions options = small_run(seed);
    bool planted = false;
    for (NodeIndex node = 1; node <= options.nodes; ++node) {
      planted = planted || has_bug(seed, node);
    }
    if (!planted) continue;  // the run without the bug, which the scenarios' own tests make
    Trial trial{options};
    find_scenario(scenario)->plan(trial);
    Bug bug{seed};
    trial.set_tap(&bug);
    const TrialResult result = trial.run();
    if (!result.violations.empty()) return Found{seed, result.violations.front().rule};
  }
  return std::nullopt;
}

}  // namespace

TEST_CASE("a relay that forwards without verifying is found") {
  const auto found = find_bug<ForwardsUnverified>("steady");
  REQUIRE(found);
  INFO("after " << found->runs << " seeds");
  CHECK(found->rule == "no unverified frame is forwarded");
}

TEST_CASE("a relay that gives a frame twice is found") {
  const auto found = find_bug<SendsTwice>("steady");
  REQUIRE(found);
  INFO("after " << found->runs << " seeds");
  CHECK(found->rule == "no frame is sent twice to a child that did not ask again");
}

TEST_CASE("a relay that does not ask its new parent is found") {
  const auto found = find_bug<NeverAsksAgain>("parent_kill");
  REQUIRE(found);
  INFO("after " << found->runs << " seeds");
  CHECK(found->rule.starts_with("after the faults"));
}
