#pragma once

#include "common/base/ids.hpp"
#include "common/base/time.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <utility>

namespace tayga::relay {

/// Peers that a gateway always helps at once with one object, however small the audience.
inline constexpr std::size_t kRescuesMin = 4;
/// How long a helped peer holds its place.
inline constexpr Duration kRescueHold = 500ms;
/// Objects counted at once; beyond them the one that was asked for longest ago is forgotten.
inline constexpr std::size_t kRescuedObjectsMax = 64;

/// How many of an audience may be rescued at once; 0 when the share is 0.
[[nodiscard]] std::size_t rescue_limit(std::uint32_t audience, unsigned share_permille) noexcept;

/// Keeps a mass failure from becoming a stampede: at a gateway, of each object, only a share of the
/// audience is served out of turn at a time. Pure.
class RescueGate {
 public:
  using Key = std::pair<TrackId, ObjectId>;

  /// False: its place comes when another's hold ends.
  [[nodiscard]] bool admit(const Key& object, const NodeId& peer, std::size_t limit, TimePoint now);
  /// The publisher started over.
  void clear() { objects_.clear(); }

 private:
  struct Object {
    TimePoint asked_at{};
    std::map<NodeId, TimePoint> holders;  // until when each holds its place
  };
  std::map<Key, Object> objects_;
};

/// When no gateway answers, chance does what it would: every viewer draws its turn at an object
/// from the two ids, so that each round of kRescueHold lets about rescue_limit() go to the origin.
/// Result: how long after the first may this one go. Pre: share_permille > 0.
[[nodiscard]] Duration rescue_turn(const NodeId& self, ObjectId object, std::uint32_t audience,
                                   unsigned share_permille);

}  // namespace tayga::relay
