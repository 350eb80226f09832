#pragma once

#include "common/base/ids.hpp"
#include "common/base/time.hpp"

#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace tayga::orch {

/// Which (child, parent) pairs failed lately, and which parents several children complain about.
///
/// Sans-IO. A pair is entered only for a link that was planned, and remembered until it was not
/// held back for kForgetAfter. At kPairsMax the half that is free again soonest is forgotten.
class LinkHealth {
 public:
  explicit LinkHealth(Duration quarantine, Duration complaint_window = kComplaintWindow)
      : quarantine_{quarantine}, complaint_window_{complaint_window} {}

  /// The pair is not to be used for the quarantine time.
  void on_failed(const NodeId& child, const NodeId& parent, TimePoint now);
  /// The parent was out of reach for a moment, and the child has another one: the pair is held back
  /// for kFirstQuarantine, and twice as long each time that it fails again before it is forgotten,
  /// up to the quarantine time. What is reported while it is held back is the same failure.
  void on_faltered(const NodeId& child, const NodeId& parent, TimePoint now);
  /// Counts a complaint. Result: how many distinct children complained within the window.
  std::size_t on_complaint(const NodeId& child, const NodeId& parent, TimePoint now);
  /// How many distinct children complained within the window.
  [[nodiscard]] std::size_t complaints(const NodeId& parent, TimePoint now) const;
  [[nodiscard]] std::optional<TimePoint> last_complaint(const NodeId& parent) const;
  /// A new session of the node: what was held against it as a parent, or by it, is over.
  void forgive(const NodeId& node);

  /// A quarantined parent is better than none: the child's pairs may be tried again kLastResort
  /// after they failed. Result: when, or nullopt when no pair of the child is held back.
  std::optional<TimePoint> shorten(const NodeId& child, TimePoint now);

  [[nodiscard]] bool is_avoided(const NodeId& child, const NodeId& parent, TimePoint now) const;
  /// Pairs to avoid now; forgets those that were good for long enough. Cost: O(pairs known).
  std::vector<std::pair<NodeId, NodeId>> avoided(TimePoint now);

  static constexpr Duration kComplaintWindow = 5s;
  static constexpr Duration kLastResort = 1s;
  static constexpr Duration kFirstQuarantine = 3s;
  static constexpr Duration kForgetAfter = 3min;
  static constexpr std::size_t kPairsMax = std::size_t{1} << 16;

 private:
  struct Failure {
    TimePoint at;
    TimePoint until;
    unsigned repeats = 0;
  };
  Failure& note(const NodeId& child, const NodeId& parent, TimePoint now);
  void make_room();

  Duration quarantine_;
  Duration complaint_window_;
  std::map<std::pair<NodeId, NodeId>, Failure> failed_;       ///< (child, parent)
  std::map<NodeId, std::map<NodeId, TimePoint>> complaints_;  ///< parent -> child -> when
};

}  // namespace tayga::orch
