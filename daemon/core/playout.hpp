#pragma once

#include "common/base/ids.hpp"
#include "daemon/core/now.hpp"
#include "daemon/core/object_store.hpp"

#include <cstdint>
#include <optional>
#include <utility>

namespace tayga::relay {

/// Releases the objects of one played track to players in their order, inside the stream's window.
///
/// An object is released when it is whole and all before it were released or given up. One that
/// blocks is given up when its window is over: players are led past it, and what of it still comes
/// counts as late, not as lost. Pure.
class Playout {
 public:
  using Key = std::pair<PublisherEpoch, ObjectId>;

  /// What was published before `joined` and is not here is not waited for.
  Playout(Duration window, WallTime joined) : window_{window}, joined_{joined} {}
  void set_window(Duration window) noexcept { window_ = window; }

  /// Call after the store changed and at next_timeout().
  void update(const ObjectStore& store, Now now);

  /// Whether players may be told of it: a playlist names what lies before it.
  [[nodiscard]] bool is_released(const Key& object) const noexcept {
    return past_ && object <= *past_;
  }
  /// When the object that blocks is given up; nullopt when none does.
  [[nodiscard]] std::optional<WallTime> next_timeout() const noexcept { return due_; }

  struct Counters {
    std::uint64_t released = 0;
    std::uint64_t given_up = 0;  ///< their window was over before they were whole
  };
  [[nodiscard]] const Counters& counters() const noexcept { return counters_; }

 private:
  [[nodiscard]] bool decide(const ObjectInfo& object, Now now);

  Duration window_;
  WallTime joined_;
  std::optional<Key> past_;  // all up to here is decided
  std::optional<WallTime> due_;
  Counters counters_;
};

}  // namespace tayga::relay
