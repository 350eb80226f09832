#include "tests/sim/path.hpp"

#include <algorithm>

namespace tayga::sim {
namespace {

constexpr std::size_t kPacketSize = 1200;
constexpr std::uint64_t kBurstPackets = 3;  ///< mean length of a loss burst
constexpr unsigned kRecoveriesMax = 4;
constexpr Duration kRecoverySlack = 2ms;
constexpr Duration kSpikeMax = 60ms;

/// How often a burst begins so that `loss_ppm` of all packets are in one.
std::uint64_t to_enter_ppm(std::uint64_t loss_ppm) {
  if (loss_ppm == 0) return 0;
  const std::uint64_t rest = 1'000'000 - std::min<std::uint64_t>(loss_ppm, 999'999);
  return std::max<std::uint64_t>(1, loss_ppm * 1'000'000 / rest / kBurstPackets);
}

}  // namespace

Path::Path(const SimOptions& options, std::uint64_t entity, Duration one_way)
    : one_way_{one_way},
      jitter_{options.jitter},
      loss_ppm_{options.loss_ppm},
      enter_ppm_{to_enter_ppm(options.loss_ppm)},
      spike_ppm_{options.spike_ppm},
      corruption_ppm_{options.corruption_ppm},
      losses_{options.seed, entity, Purpose::loss},
      jitters_{options.seed, entity, Purpose::jitter},
      spikes_{options.seed, entity, Purpose::spike},
      corruptions_{options.seed, entity, Purpose::corruption} {}

bool Path::loses_packet() {
  bad_ = bad_ ? losses_.below(kBurstPackets) != 0 : losses_.chance_ppm(enter_ppm_);
  return bad_;
}

bool Path::corrupts() {
  return corruption_ppm_ > 0 && corruptions_.chance_ppm(corruption_ppm_);
}

TimePoint Path::arrival(const Sent& sent) {
  TimePoint at = sent.left + one_way_;
  if (sent.held_until > sent.left) {
    // Sent again once the path is open: the sender's timer has doubled meanwhile.
    at = sent.held_until + one_way_ + jitters_.between(Duration{0}, 2 * one_way_);
  }
  if (jitter_ > Duration{0}) at += jitters_.between(Duration{0}, jitter_);
  if (spike_ppm_ > 0 && spikes_.chance_ppm(spike_ppm_)) at += spikes_.between(5ms, kSpikeMax);
  if (loss_ppm_ == 0) return at;
  bool is_lost = false;
  for (std::size_t packet = 0; packet < sent.bytes; packet += kPacketSize) {
    is_lost = loses_packet() || is_lost;
  }
  Duration recovery = 2 * one_way_ * 9 / 8 + kRecoverySlack;
  for (unsigned i = 0; is_lost && i < kRecoveriesMax; ++i) {
    at += recovery;
    recovery *= 2;
    is_lost = losses_.chance_ppm(loss_ppm_);
  }
  return at;
}

}  // namespace tayga::sim
