#pragma once

#include "daemon/core/arrival_forecast.hpp"
#include "daemon/core/assignment.hpp"
#include "daemon/core/cadence.hpp"
#include "daemon/core/child_feed.hpp"
#include "daemon/core/object_store.hpp"
#include "daemon/core/playout.hpp"
#include "daemon/core/relay.hpp"
#include "daemon/core/repair_plan.hpp"
#include "daemon/core/rescue_gate.hpp"
#include "daemon/core/slice_window.hpp"
#include "daemon/core/stripe_repair.hpp"
#include "daemon/core/token_bucket.hpp"

#include <cstdint>
#include <deque>
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

/// A node that has, or shall have, a session with us. What beats look at comes first.
struct Peer {
  explicit Peer(const NodeId& node, const ChildFeed::Limits& limits) : id{node}, feed{limits} {}

  NodeId id;
  std::uint64_t session = 0;  ///< number of the session, 0 = none
  bool is_active = false;     ///< as a child: of at least one stripe
  bool connecting = false;
  bool suspected = false;               ///< its beat is overdue
  bool condemned = false;               ///< three are missing: who may replaces it
  TimePoint last_pull{};                ///< as a child: media or a head was given
  std::int64_t service_checked_ms = 0;  ///< as a child: no stripe's service ends before
  std::uint64_t dropped_counted = 0;    ///< of the feed's dropped bytes
  ChildFeed feed;
  Cadence cadence;  ///< as a parent
  LossReason last_loss = LossReason::closed;
  TimePoint connecting_since{};
  TimePoint retry_at{};
  Duration backoff{0};
  TimePoint blocked_until{};           ///< it tampered: not dialed, not believed
  std::optional<TimePoint> leaves_at;  ///< it said go_away
  TimePoint idle_since{};
  TokenBucket unannounced{kUnannouncedBurst, kUnannouncedInterval};
  TokenBucket requests{kRequestBurst, kRequestInterval};
  TokenBucket fetches{kRequestBurst, kRequestInterval};
  TokenBucket haves{kRequestBurst, kRequestInterval};

  [[nodiscard]] bool up() const noexcept { return session != 0; }
};

/// A dial that takes longer does not keep a stripe waiting whose standby is ready.
inline constexpr Duration kDialPatience = 1s;
/// A parent that was asked and says nothing.
inline constexpr Duration kConfirmPatience = 1s;
/// A parent that sends a joiner the past may pause this long before others are asked for it.
inline constexpr Duration kCatchUpPause = 200ms;

/// What one parent sends us, or shall send us, of one track.
struct UpLink {
  Peer* peer = nullptr;
  StripeMask wanted = 0;  ///< assigned
  StripeMask wanted_standby = 0;
  StripeMask sent = 0;  ///< subscribed, active
  StripeMask sent_standby = 0;
  StripeMask confirmed = 0;          ///< of `sent`
  StripeMask retired = 0;            ///< unsubscribed a moment ago: frames may be under way
  StripeMask confirmed_standby = 0;  ///< of `sent_standby`
  StripeMask wanted_rescue = 0;      ///< at a gateway, while something is to be fetched there
  StripeMask promoted = 0;           ///< of `wanted`: it was a standby
  StripeMask former = 0;             ///< of `wanted_standby`: it was the parent and failed
  StripeMask gap = 0;                ///< it said that it starves itself
  StripeMask reported = 0;           ///< lost, and told so
  TimePoint retired_until{};
  TimePoint fetched_until{};  ///< media of any stripe may come: it was asked for
  SliceSeq fetched_last{0};   ///< the highest asked for
  TimePoint rescue_until{};   ///< of wanted_rescue
  StripeMask avoided = 0;     ///< its path is a loop, or it delivered too little
  TimePoint avoided_at{};
  TimePoint avoid_until{};              ///< of `avoided`
  std::deque<TimePoint> poor;           ///< slices that it owed and another one brought, lately
  std::optional<TimePoint> pressed_at;  ///< it last told of drops
  TimePoint subscribed_at{};
  WallTime subscribed_wall{};
  std::vector<SliceSeq> have;  ///< it owes them, others gave them; not told yet
  TimePoint brought_at{};      ///< something that was not here, as a parent or when it was one
  TimePoint retry_at{};        ///< after a refusal
  wire::AllocationBlob allocation{};  ///< last presented
  StreamHandle handle;                ///< in it
  StripeMask covered = 0;             ///< by it

  [[nodiscard]] StripeMask accepted(TimePoint now) const noexcept {
    if (now < fetched_until) return ~StripeMask{0};
    return sent | (now < retired_until ? retired : 0);
  }
  void avoid(StripeMask stripes, TimePoint now, Duration time) noexcept {
    avoided = stripes | (now < avoid_until ? avoided : 0);
    avoided_at = now;
    avoid_until = now + time;
  }
  [[nodiscard]] bool avoids(StripeMask stripes, TimePoint now) const noexcept {
    return now < avoid_until && (avoided & stripes) != 0;
  }
  [[nodiscard]] bool idle(TimePoint now) const noexcept {
    return (wanted | wanted_standby | wanted_rescue | sent | sent_standby | retired) == 0 &&
           fetched_until <= now;
  }
};

/// The links of one track, in the order in which they came. Whose they are stands beside them: to
/// find one touches none of the others.
class UpLinks {
 public:
  /// nullptr: there is none to that peer.
  [[nodiscard]] UpLink* find(const Peer& peer) const noexcept {
    for (std::size_t i = 0; i < peers_.size(); ++i) {
      if (peers_[i] == &peer) return links_[i].get();
    }
    return nullptr;
  }
  /// Pre: there is none to that peer.
  UpLink& add(Peer& peer) {
    peers_.push_back(&peer);
    links_.push_back(std::make_unique<UpLink>());
    links_.back()->peer = &peer;
    return *links_.back();
  }
  template <class Pred>
  void erase_if(Pred&& pred) {
    if (std::erase_if(links_, [&](const auto& link) { return pred(*link); }) == 0) return;
    peers_.clear();
    for (const auto& link : links_) peers_.push_back(link->peer);
  }
  void clear() noexcept {
    links_.clear();
    peers_.clear();
  }
  [[nodiscard]] auto begin() const noexcept { return links_.begin(); }
  [[nodiscard]] auto end() const noexcept { return links_.end(); }
  [[nodiscard]] std::size_t size() const noexcept { return links_.size(); }
  [[nodiscard]] bool empty() const noexcept { return links_.empty(); }
  UpLink& operator[](std::size_t place) const noexcept { return *links_[place]; }

 private:
  std::vector<std::unique_ptr<UpLink>> links_;
  std::vector<const Peer*> peers_;
};

/// A child that was refused for a passing reason asks again no sooner.
inline constexpr Duration kRefusedRetryAfter = 500ms;
/// Media that was fetched may take this long to come.
inline constexpr Duration kFetchedAccepted = 5s;

/// A stripe that lost its parent and is not whole again.
struct Mending {
  NodeId lost;
  LossReason reason = LossReason::closed;
  TimePoint last_beat{};
  SliceSeq whole_at{0};  ///< when all below is here
};

struct StripeState {
  StripeState(StripeIndex stripe, unsigned stripe_count) noexcept : repair{stripe, stripe_count} {}

  unsigned hops = 0;  ///< to the gateway, as the parent says
  StripeRepair repair;
  std::optional<TimePoint> orphaned_since;
  Duration lateness{0};         ///< of the newest slice
  Duration usual_lateness{0};   ///< smoothed
  Duration lateness_jitter{0};  ///< smoothed
  TimePoint gap_since{};        ///< the parent says that it starves
  TimePoint progress_at{};      ///< something came from its parent
  ArrivalForecast forecast;     ///< of its parent
  std::optional<Mending> mending;
  /// The next parent was asked from here on; what is missing below is the old one's to send.
  std::optional<SliceSeq> handover;
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
  std::vector<StripeState> stripes;
  UpLinks links;
  std::vector<Fan> fans;
  StripeMask starving = 0;   ///< as the children were told
  std::size_t fan_turn = 0;  ///< who is first changes per frame: the last one waits for all
  std::unique_ptr<ObjectStore> store;
  std::optional<Playout> playout;  ///< set while there is a store
  RepairPlan repair_plan;
  std::optional<TimePoint> repair_at;      ///< when to look for what is missing
  std::optional<ObjectId> origin_allowed;  ///< a gateway sent us to the origin for it
  WallTime played_since{};
  bool progress_told = false;
  SliceWindow window;  // large: last, so that what every beat looks at stands together
};

/// All stripes of a track.
inline StripeMask all_stripes(const TrackState& track) noexcept {
  const std::size_t count = track.stripes.size();
  return count >= 32 ? ~StripeMask{0} : (StripeMask{1} << count) - 1;
}

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
  RescuePlan rescue;
  RescueGate gate;         ///< at its gateway
  RescueGate origin_gate;  ///< there too: who was sent on to the origin
  std::uint64_t gateway_bytes = 0;
  std::uint64_t origin_bytes = 0;
  std::uint64_t repairs = 0;
  std::optional<LastRepair> last_repair;
};

/// What the origin was asked for and has not answered to the end.
struct OriginRequest {
  StreamId stream;
  TrackId track;
  PublisherEpoch epoch;
  ObjectId object;
  std::uint64_t offset = 0;
  std::uint64_t size_max = 0;
  Bytes bytes;  ///< from `offset` on
};

/// A Subscribe that came before what we need to judge it.
struct HeldSubscribe {
  NodeId from;
  Subscribe message;
  TimePoint deadline;
};

}  // namespace tayga::relay
