#include "orchestrator/solver/home_stripes.hpp"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace tayga::orch {

std::uint64_t home_hash(const NodeId& node, TrackId track) {
  std::uint64_t hash = 0xcbf2'9ce4'8422'2325;
  // FNV-1a.
  const auto mix = [&hash](std::uint64_t byte) { hash = (hash ^ byte) * 0x100'0000'01b3; };
  for (const std::byte byte : node.bytes) mix(static_cast<std::uint64_t>(byte));
  mix(track.value());
  return hash ^ (hash >> 32);
}

std::vector<std::uint32_t> choose_homes(std::span<const HomeCandidate> candidates,
                                        unsigned stripe_count) {
  std::vector<std::size_t> order(candidates.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto stronger = [&](std::size_t a, std::size_t b) {
    return std::tuple{~candidates[a].slots, candidates[a].node} <
           std::tuple{~candidates[b].slots, candidates[b].node};
  };
  std::sort(order.begin(), order.end(), stronger);

  std::vector<std::uint64_t> room(stripe_count, 0);
  std::vector<std::uint32_t> homes(candidates.size(), 0);
  for (const std::size_t at : order) {
    const HomeCandidate& candidate = candidates[at];
    const auto first = static_cast<std::uint32_t>(candidate.hash % stripe_count);
    std::uint32_t home = first;
    for (std::uint32_t step = 1; step < stripe_count; ++step) {
      const std::uint32_t stripe = (first + step) % stripe_count;
      if (room[stripe] < room[home]) home = stripe;
    }
    const std::uint32_t current = candidate.current_home;
    if (current < stripe_count && room[current] <= 2 * room[home] + candidate.slots) home = current;
    room[home] += candidate.slots;
    homes[at] = home;
  }
  return homes;
}

}  // namespace tayga::orch
