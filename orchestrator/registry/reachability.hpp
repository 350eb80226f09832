#pragma once

#include "common/base/ids.hpp"
#include "common/base/time.hpp"

#include <cstddef>
#include <map>

namespace tayga::orch {

/// Who could not connect with somebody that was there: it is behind a NAT or a firewall that lets
/// not everybody through. Two such nodes are not planned as parent and child, because routers that
/// get through to each other mostly get through to everybody (symmetric NATs fail with port
/// restricted ones and with each other, and with nobody else).
///
/// Sans-IO. Each node's last kPeersMax failures are known, for kForgetAfter each.
class Reachability {
 public:
  /// No session came about, though both are in contact with us.
  void on_no_way(const NodeId& a, const NodeId& b, TimePoint now);
  /// It left, or is at another address: what failed with it says nothing of others any more.
  void forget(const NodeId& node);
  /// Whether somebody that is still there could not connect with it.
  [[nodiscard]] bool is_walled(const NodeId& node, TimePoint now) const;

  static constexpr std::size_t kPeersMax = 16;
  static constexpr Duration kForgetAfter = 10min;

 private:
  void note(const NodeId& node, const NodeId& peer, TimePoint now);

  std::map<NodeId, std::map<NodeId, TimePoint>> failed_;  ///< node -> peer -> when last
};

}  // namespace tayga::orch
