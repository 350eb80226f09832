#include "daemon/core/rescue_gate.hpp"

#include <algorithm>
#include <cstdint>

namespace tayga::relay {
namespace {

std::uint64_t mix(std::uint64_t value) noexcept {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9U;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebU;
  return value ^ (value >> 31);
}

}  // namespace

std::size_t rescue_limit(std::uint32_t audience, unsigned share_permille) noexcept {
  if (share_permille == 0) return 0;
  return std::max<std::size_t>(kRescuesMin, std::size_t{audience} * share_permille / 1000);
}

bool RescueGate::admit(const Key& object, const NodeId& peer, std::size_t limit, TimePoint now) {
  Object& asked = objects_[object];
  asked.asked_at = now;
  auto& holders = asked.holders;
  std::erase_if(holders, [now](const auto& holder) { return holder.second <= now; });
  const bool admitted = holders.contains(peer) || holders.size() < limit;
  if (admitted) holders[peer] = now + kRescueHold;
  if (objects_.size() > kRescuedObjectsMax) {
    objects_.erase(std::ranges::min_element(
        objects_, {}, [](const auto& entry) { return entry.second.asked_at; }));
  }
  return admitted;
}

Duration rescue_turn(const NodeId& self, ObjectId object, std::uint32_t audience,
                     unsigned share_permille) {
  const std::size_t limit = std::max<std::size_t>(1, rescue_limit(audience, share_permille));
  const std::uint64_t rounds = (audience + limit - 1) / limit;
  if (rounds <= 1) return Duration::zero();
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    word = word << 8 | std::to_integer<std::uint64_t>(self.bytes[i]);
  }
  const std::uint64_t round = mix(word ^ mix(object.value() + 1)) % rounds;
  return kRescueHold * static_cast<Duration::rep>(round);
}

}  // namespace tayga::relay
