#include "daemon/core/rescue_gate.hpp"

#include <algorithm>
#include <bit>

namespace tayga::relay {
namespace {

std::uint64_t mix(std::uint64_t value) noexcept {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9U;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebU;
  return value ^ (value >> 31);
}

}  // namespace

std::size_t rescue_limit(std::uint32_t audience, unsigned share_permille) noexcept {
  return std::max<std::size_t>(kRescuesMin, std::size_t{audience} * share_permille / 1000);
}

bool RescueGate::admit(const Key& object, const NodeId& peer, std::size_t limit, TimePoint now) {
  auto& holders = objects_[object];
  std::erase_if(holders, [now](const auto& holder) { return holder.second <= now; });
  const bool admitted = holders.contains(peer) || holders.size() < limit;
  if (admitted) holders[peer] = now + kRescueHold;
  while (objects_.size() > kRescuedObjectsMax) objects_.erase(objects_.begin());
  return admitted;
}

Duration rescue_turn(const NodeId& self, ObjectId object, unsigned share_permille) {
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    word = word << 8 | std::to_integer<std::uint64_t>(self.bytes[i]);
  }
  const std::uint64_t drawn = mix(word ^ mix(object.value() + 1)) % 1000;
  const std::uint64_t round = drawn / std::max(1U, share_permille);
  return kRescueHold * static_cast<Duration::rep>(round);
}

}  // namespace tayga::relay
