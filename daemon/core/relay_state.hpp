#pragma once

#include "daemon/core/assignment.hpp"
#include "daemon/core/child_feed.hpp"
#include "daemon/core/object_store.hpp"
#include "daemon/core/slice_window.hpp"
#include "daemon/core/stripe_repair.hpp"
#include "daemon/core/token_bucket.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

/// The plain state of a relay: streams own tracks, tracks own their links to parents; peers own
/// what they are owed as children. Only Relay::Impl changes it.
namespace tayga::relay {

inline constexpr std::int64_t kUnannouncedBurst =
    4096;  ///< chunks: 16 MiB, more than any queue holds
inline constexpr Duration kUnannouncedInterval = 5ms;
inline constexpr std::int64_t kRequestBurst =
    256;  ///< subscribe and unsubscribe; fetch has its own
inline constexpr Duration kRequestInterval = 20ms;

/// A node that has, or shall have, a session with us.
struct Peer {
  explicit Peer(const NodeId& node, const ChildFeed::Limits& limits) : id{node}, feed{limits} {}

  NodeId id;
  std::uint64_t session = 0;  ///< number of the session, 0 = none
  bool connecting = false;
  TimePoint connecting_since{};
  TimePoint retry_at{};
  Duration backoff{0};
  TimePoint blocked_until{};           ///< it tampered: not dialed, not believed
  TimePoint last_beat{};               ///< as a parent
  std::optional<TimePoint> leaves_at;  ///< it said go_away
  TimePoint idle_since{};
  TimePoint last_pull{};  ///< as a child: media or a head was given
  ChildFeed feed;
  TokenBucket unannounced{kUnannouncedBurst, kUnannouncedInterval};
  TokenBucket requests{kRequestBurst, kRequestInterval};
  TokenBucket fetches{kRequestBurst, kRequestInterval};
  std::uint64_t dropped_counted = 0;  ///< of the feed's dropped bytes

  [[nodiscard]] bool up() const noexcept { return session != 0; }
};

/// What one parent sends us, or shall send us, of one track.
struct UpLink {
  Peer* peer = nullptr;
  StripeMask wanted = 0;  ///< assigned
  StripeMask wanted_standby = 0;
  StripeMask sent = 0;  ///< subscribed, active
  StripeMask sent_standby = 0;
  StripeMask confirmed = 0;  ///< of `sent`
  StripeMask retired = 0;    ///< unsubscribed a moment ago: frames may be under way
  StripeMask gap = 0;        ///< it said that it starves itself
  StripeMask reported = 0;   ///< lost, and told so
  TimePoint retired_until{};
  TimePoint subscribed_at{};
  WallTime subscribed_wall{};
  TimePoint retry_at{};               ///< after a refusal
  wire::AllocationBlob allocation{};  ///< last presented
  StreamHandle handle;                ///< in it

  [[nodiscard]] StripeMask accepted(TimePoint now) const noexcept {
    return sent | (now < retired_until ? retired : 0);
  }
  [[nodiscard]] bool idle() const noexcept {
    return (wanted | wanted_standby | sent | sent_standby | retired) == 0;
  }
};

struct StripeState {
  StripeRepair repair;
  std::optional<TimePoint> orphaned_since;
  bool gap_told = false;  ///< to the children
  Duration lateness{0};
};

/// A child's entry in a track's fan-out: the mask is here so that others cost one comparison.
struct Fan {
  StripeMask stripes = 0;
  Peer* peer = nullptr;
  ChildSubscription* subscription = nullptr;
};

struct TrackState {
  StreamState* stream = nullptr;
  TrackId id;
  std::optional<PublisherEpoch> epoch;
  SliceWindow window;
  std::vector<StripeState> stripes;
  std::vector<std::unique_ptr<UpLink>> links;
  std::vector<Fan> fans;
  std::size_t fan_turn = 0;  ///< who is first changes per frame: the last one waits for all
  std::unique_ptr<ObjectStore> store;
  WallTime played_since{};
  bool progress_told = false;
};

struct StreamState {
  StreamDescriptor descriptor;
  wire::StreamTag tag;
  bool known = false;  ///< has a descriptor
  bool publishing = false;
  std::uint64_t incarnation = 0;
  std::uint64_t revision = 0;
  std::set<TrackId> playing;
  std::set<NodeId> expected_children;
  std::vector<wire::AllocationBlob> unverified;  ///< their key is not known yet
  ObjectStore::Counters past;                    ///< of tracks that are played no more
  std::map<TrackId, std::unique_ptr<TrackState>> tracks;
};

/// A Subscribe that came before what we need to judge it.
struct HeldSubscribe {
  NodeId from;
  Subscribe message;
  TimePoint deadline;
};

}  // namespace tayga::relay
