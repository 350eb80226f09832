#include "tests/sim/sim_trust.hpp"

#include "tests/sim/relay_world.hpp"

namespace tayga::sim {
namespace {

// Beyond the numbers of nodes.
constexpr unsigned kRootNumber = 65001;
constexpr unsigned kOnlineNumber = 65002;
constexpr unsigned kStreamNumber = 65003;
constexpr std::int64_t kForeverMs = 4'000'000'000'000;

}  // namespace

SimTrust::SimTrust()
    : root{make_key(kRootNumber)},
      online{make_key(kOnlineNumber)},
      stream{make_key(kStreamNumber)} {
  network.bytes.fill(std::byte{0x53});
  online_key.key_id = 1;
  online_key.not_before_ms = 0;
  online_key.not_after_ms = kForeverMs;
  online_key.network = network;
  online_key.key = online.public_key();
  online_key.root = root.public_key();
}

}  // namespace tayga::sim
