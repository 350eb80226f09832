#pragma once

#include "common/base/ids.hpp"
#include "common/base/time.hpp"

#include <cstddef>
#include <map>

namespace tayga::orch {

/// Who could not connect with somebody that was there, because of a NAT or a firewall.
///
/// A parent that kClosedAfter children could not reach is closed: the fault is its own. Whoever
/// else failed with somebody is walled, and two such nodes are not planned as parent and child:
/// routers that get through to each other mostly get through to everybody (symmetric NATs fail with
/// port restricted ones and with each other, and with nobody else).
///
/// Sans-IO. Each node's last kPeersMax failures are known, for kForgetAfter each.
class Reachability {
 public:
  /// No session came about, though both are in contact with us.
  void on_no_way(const NodeId& child, const NodeId& parent, TimePoint now);
  /// It left, or is at another address: what failed with it says nothing of others any more.
  void forget(const NodeId& node);
  /// Whether somebody that is still there, and is not closed, could not connect with it.
  [[nodiscard]] bool is_walled(const NodeId& node, TimePoint now) const;
  /// Whether so many could not reach it that hardly anybody can.
  [[nodiscard]] bool is_closed(const NodeId& node, TimePoint now) const;

  static constexpr std::size_t kPeersMax = 16;
  static constexpr std::size_t kClosedAfter = 4;
  static constexpr Duration kForgetAfter = 10min;

 private:
  using Failures = std::map<NodeId, std::map<NodeId, TimePoint>>;  ///< node -> peer -> when last
  static void note(Failures& failures, const NodeId& node, const NodeId& peer, TimePoint now);
  static void forget(Failures& failures, const NodeId& node);

  Failures as_child_;
  Failures as_parent_;
};

}  // namespace tayga::orch
