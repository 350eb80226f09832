#pragma once

#include "common/base/ids.hpp"
#include "common/base/time.hpp"
#include "common/wire/allocation.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace tayga::relay {

struct TrackInfo {
  TrackId id;
  std::string playlist_path;  ///< empty for the presentation track
  std::uint64_t bitrate_bps = 0;
  friend bool operator==(const TrackInfo&, const TrackInfo&) = default;
};

struct StreamDescriptor {
  StreamId id;
  std::string name;
  unsigned stripe_count = 1;          ///< K, 1..kStripeCountMax
  std::vector<StreamHandle> handles;  ///< by which allocations name it: current epoch, previous
  Duration playout_window = 2s;       ///< what arrives later than this after publishing is late
  std::vector<TrackInfo> tracks;
  std::string origin_url;  ///< last resort; empty = none
  friend bool operator==(const StreamDescriptor&, const StreamDescriptor&) = default;
};

enum class UpstreamRole : std::uint8_t { primary, standby };

/// Who pushes one stripe of one track to us.
struct Upstream {
  TrackId track;
  StripeIndex stripe;
  NodeId parent;
  UpstreamRole role = UpstreamRole::primary;
  friend bool operator==(const Upstream&, const Upstream&) = default;
};

struct Downstream {
  TrackId track;
  StripeIndex stripe;
  NodeId child;
  friend bool operator==(const Downstream&, const Downstream&) = default;
};

/// What to do when no peer has a slice in time. Part of the reaction plan: nobody is asked then.
struct RescuePlan {
  std::vector<NodeId> gateways;  ///< have everything; dialed when needed; allocations come along
  unsigned share_permille = 50;  ///< of the audience may take one object from gateway or origin
  std::uint32_t audience = 0;    ///< viewers of the stream, as counted at this revision
  friend bool operator==(const RescuePlan&, const RescuePlan&) = default;
};

/// The whole target state of one stream at this node. Its reaction plan: per stripe the standbys in
/// the order in which they are promoted, and the rescue.
struct Assignment {
  std::uint64_t incarnation = 0;  ///< of the orchestrator
  std::uint64_t revision = 0;     ///< rises within an incarnation; an older one is ignored
  StreamDescriptor stream;
  bool carry = true;  ///< false = stop carrying the stream
  std::vector<Upstream> upstream;
  std::vector<Downstream> downstream;
  RescuePlan rescue;
  std::vector<wire::AllocationBlob> allocations;  ///< we are the receiver of each
  friend bool operator==(const Assignment&, const Assignment&) = default;
};

}  // namespace tayga::relay
