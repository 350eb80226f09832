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
/// Sans-IO. A pair is entered only for a link that was planned, so the table is bounded by the
/// links of one quarantine time.
class LinkHealth {
 public:
  explicit LinkHealth(Duration quarantine) : quarantine_{quarantine} {}

  /// The pair is not to be used for the quarantine time.
  void on_failed(const NodeId& child, const NodeId& parent, TimePoint now);
  /// Counts a complaint. Result: how many distinct children complained within kComplaintWindow.
  std::size_t on_complaint(const NodeId& child, const NodeId& parent, TimePoint now);
  /// A new session of the node: what was held against it as a parent, or by it, is over.
  void forgive(const NodeId& node);

  /// A quarantined parent is better than none: the child's pairs may be tried again kLastResort
  /// after they failed. Result: when, or nullopt when no pair of the child is held back.
  std::optional<TimePoint> shorten(const NodeId& child);

  [[nodiscard]] bool is_avoided(const NodeId& child, const NodeId& parent, TimePoint now) const;
  /// Pairs to avoid now; forgets those that are over.
  std::vector<std::pair<NodeId, NodeId>> avoided(TimePoint now);

  static constexpr Duration kComplaintWindow = 5s;
  static constexpr Duration kLastResort = 1s;

 private:
  struct Failure {
    TimePoint at;
    TimePoint until;
  };
  Duration quarantine_;
  std::map<std::pair<NodeId, NodeId>, Failure> failed_;       ///< (child, parent)
  std::map<NodeId, std::map<NodeId, TimePoint>> complaints_;  ///< parent -> child -> when
};

}  // namespace tayga::orch
