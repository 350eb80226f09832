#pragma once

#include "daemon/core/admission.hpp"
#include "daemon/core/duplicate_budget.hpp"
#include "daemon/core/peer_index.hpp"
#include "daemon/core/relay.hpp"
#include "daemon/core/relay_state.hpp"
#include "daemon/core/slice_cache.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tayga::relay {

/// The relay's parts share one state, so they are one class in several files: relay.cpp (the public
/// face, clock), relay_status.cpp, relay_local.cpp (this node's players and publisher),
/// relay_media.cpp (slices in), relay_children.cpp (subscriptions, fetch), relay_serving.cpp (what
/// children get by and by), relay_links.cpp (assignments, subscriptions upward), relay_parents.cpp
/// (sessions, what parents say), relay_heal.cpp (suspicion, promotion), relay_rescue.cpp (missing
/// slices) and relay_origin.cpp (what the origin gives by range).
class Relay::Impl {
 public:
  Impl(const crypto::SigningKey& identity, const RelayLimits& limits, Duration submit_interval);

  // relay.cpp
  void on_network(const NetworkId& network);
  void on_online_keys(std::vector<media::OnlineKey> keys);
  void on_timeout(Now now);
  void on_shutdown(GoAwayReason reason, Duration grace, Now now);
  std::optional<Action> poll_action();
  std::optional<TimePoint> next_timeout() const;

  // relay_status.cpp
  const ObjectStore* objects(const StreamId& stream, TrackId track) const;
  const Playout* playout(const StreamId& stream, TrackId track) const;
  std::vector<StripeStatus> stripes() const;
  std::vector<ChildStatus> children(TimePoint now) const;
  std::vector<StreamStatus> streams() const;

  // relay_local.cpp
  void on_local_demand(const StreamId& stream, std::vector<TrackId> tracks, Now now);
  void on_publish_started(const StreamDescriptor& stream, Now now);
  void on_published(media::SignedSlice slice, Now now);
  void on_publish_stopped(const StreamId& stream, Now now);

  // relay_media.cpp
  void on_media(const NodeId& from, wire::FrameType type, ByteView payload, Now now);

  // relay_children.cpp
  void on_message(const NodeId& from, const PeerMessage& message, Now now);
  std::optional<MediaFrame> next_media(const NodeId& child, Now now);

  // relay_links.cpp
  void on_assignment(const Assignment& assignment, Now now);

  // relay_serving.cpp
  void on_control(Control control, Now now);
  void on_serving(Serving serving, Duration grace, Now now);

  // relay_origin.cpp
  void on_origin_bytes(std::uint64_t request, std::uint64_t offset, ByteView bytes, Now now);
  void on_origin_done(std::uint64_t request, const OriginDone& done, Now now);

  // relay_parents.cpp
  void on_peer_up(const NodeId& peer, Now now);
  void on_connect_failed(const NodeId& peer, Now now);
  void on_peer_down(const NodeId& peer, LossReason reason, Now now);

  ReceiptBook book;
  RelayCounters counters;

 private:
  // --- relay.cpp: state, actions, time
  Peer& peer_of(const NodeId& node);
  Peer* find_peer(const NodeId& node);
  StreamState* find_stream(const StreamId& stream);
  /// Creates what is missing; nullptr at the limit.
  StreamState* stream_of(const StreamId& stream);
  TrackState* find_track(const StreamId& stream, TrackId track);
  TrackState* track_of(StreamState& stream, TrackId track);
  void set_descriptor(StreamState& stream, const StreamDescriptor& descriptor, Now now);
  template <class OneAction>
  void push(OneAction action) {
    actions_.emplace_back(std::move(action));
  }
  void send(const Peer& peer, PeerMessage message) { push(Send{peer.id, std::move(message)}); }
  void tell_progress(TrackState& track);
  /// What a timer does; each only when it is due, because timers are many and work is seldom.
  enum class Duty : std::uint8_t {
    parents,   ///< who is silent, suspicious, leaving
    links,     ///< what an input changes too: promotions, subscriptions, who starves, held requests
    playout,   ///< objects that are given up
    repair,    ///< missing slices
    children,  ///< heads, ages, allocations that run out
    cache,     ///< slices that are too old
    idle,      ///< peers, tracks and streams that nobody needs any more
  };
  static constexpr std::size_t kDuties = 7;
  static constexpr TimePoint kNever = TimePoint::max();
  /// The duty is seen to no later than `at`.
  void wake_at(Duty duty, TimePoint at) noexcept {
    TimePoint& due = dues_[static_cast<std::size_t>(duty)];
    due = std::min(due, at);
  }
  /// Work that falls due this soon is done by one timer.
  static constexpr Duration kTogether = 5ms;
  /// Slices that are to leave within so long go together.
  static constexpr Duration kEvictTogether = 250ms;
  /// True once when it is due: whoever sees to it says when it is due again.
  bool take_due(Duty duty, Now now, Duration early = Duration::zero()) noexcept {
    TimePoint& due = dues_[static_cast<std::size_t>(duty)];
    if (due == kNever || now.mono + early < due) return false;
    due = kNever;
    return true;
  }
  [[nodiscard]] TimePoint next_due() const noexcept { return std::ranges::min(dues_); }
  void flush_receipts();
  void keep_house(Now now);
  void drop_idle(Now now);
  void drop_idle_tracks(StreamState& stream);
  void drop_idle_peers(Now now);
  [[nodiscard]] bool is_used(const Peer& peer) const;

  // --- relay_local.cpp
  void update_store(StreamState& stream, TrackState& track, Now now);
  void update_playout(TrackState& track, Now now);
  [[nodiscard]] static ObjectStore::Late late_rule(const TrackState& track);
  [[nodiscard]] static bool plays(const StreamState& stream, TrackId track);

  // --- relay_media.cpp
  struct Source {
    Peer* peer = nullptr;
    TrackState* track = nullptr;
    UpLink* link = nullptr;
    StripeIndex stripe;
  };
  void take_media(Peer& from, wire::FrameType type, ByteView payload, Now now);
  void on_slice_header(Peer& from, ByteView payload, Now now);
  void on_chunk(Peer& from, ByteView payload, Now now);
  /// Finds who may send this; nullopt (and charged to the peer) when it may not.
  std::optional<Source> find_source(Peer& from, StreamState* stream, TrackId track, SliceSeq seq,
                                    Now now);
  /// False when the header is to be ignored; `from` may be gone then.
  bool is_wanted(const Source& source, const media::SliceHeader& header, ByteView payload, Now now);
  void charge(Peer& peer, Now now);
  static void note_turn(const Source& source, const CachedSlice& slice);
  void note_source(const Source& source, const CachedSlice& slice, std::size_t size, Now now);
  static void note_progress(StripeState& stripe, const CachedSlice& slice, Now now);
  void note_complete(const Source& source, SliceSeq seq, Now now);
  static void note_lateness(StripeState& stripe, const Source& source, Duration lateness);
  void on_tampered(const Source& source, const CachedSlice* slice, ByteView chunk, Now now);
  SlicePtr insert_slice(TrackState& track, media::SliceHeader header, SharedBytes frame, Now now);
  void add_frame(TrackState& track, const SlicePtr& slice, std::size_t index, SharedBytes frame,
                 Now now);
  void fan_out(TrackState& track, StripeIndex stripe, const CachedSlice& slice, std::size_t size,
               Now now);
  void count_delivery(const Source& source, const CachedSlice& slice, std::size_t size, Now now);
  void start_epoch(TrackState& track, PublisherEpoch epoch, Now now);
  void evict(Now now);

  // --- relay_children.cpp
  void take_message(Peer& from, const PeerMessage& message, Now now);
  void on_subscribe(Peer& from, const Subscribe& message, Now now);
  enum class Judged : std::uint8_t { done, hold, hold_allocation };
  Judged judge_subscribe(Peer& from, const Subscribe& message, Now now);
  void admit(Peer& child, TrackState& track, const Subscribe& message,
             const wire::Allocation& allocation, Now now);
  void hold(const Peer& from, const Subscribe& message, Now now);
  void retry_held(Now now);
  void refuse(const Peer& peer, const Subscribe& message, RefuseReason reason,
              Duration retry_after);
  void on_unsubscribe(Peer& from, const Unsubscribe& message);
  void on_fetch(Peer& from, const Fetch& message, Now now);
  static constexpr Duration kHaveTogether = 25ms;  ///< what came meanwhile is told at once
  void on_have(Peer& from, const Have& message, Now now);
  void note_have(const Source& source, SliceSeq seq, Now now);
  void tell_have();
  bool admit_rescue(Peer& from, TrackState& track, const CachedSlice& slice, Now now);
  void on_receipt(Peer& from, const PeerReceipt& message, Now now);
  void end_service(Peer& child, ChildSubscription& subscription, StripeMask stripes);
  void update_child(Peer& peer);
  void update_fan(Peer& child, TrackState& track);
  void drop_children(TrackState& track, RefuseReason reason);
  void drop_child(Peer& child);
  void count_dropped(Peer& child);
  [[nodiscard]] bool carries(const StreamState& stream, TrackId track, StripeMask stripes) const;

  // --- relay_serving.cpp
  bool make_room(SubscribeMode mode);
  void end_all_service(Peer& child, RefuseReason reason);
  void serve_children(Now now);
  void tell_drops(Peer& child, Now now);
  void expire_allocations(Peer& child, std::int64_t over_ms);
  void send_head(Peer& child, Now now);

  // --- relay_links.cpp
  void set_links(StreamState& stream, const Assignment& assignment, Now now);
  void verify_allocations(StreamState& stream, Now now);
  void reconcile(Now now);
  /// After every input: reconcile() when a parent was lost in it.
  void settle(Now now) {
    if (std::exchange(dirty_, false)) reconcile(now);
  }
  void reconcile_track(StreamState& stream, TrackState& track, Now now);
  void subscribe_missing(StreamState& stream, TrackState& track, UpLink& link, Now now);
  void send_subscribe(StreamState& stream, TrackState& track, UpLink& link, StripeMask stripes,
                      SubscribeMode mode, Now now);

  StripeMask caught_up_by_others(TrackState& track, const UpLink& link, Now now);
  std::optional<SliceSeq> start_of(TrackState& track, StripeIndex stripe, const UpLink& link);
  StripeMask owed(TrackState& track, StripeMask surplus, Now now);
  void drop_surplus(StreamState& stream, TrackState& track, UpLink& link, Now now);
  void update_orphans(const StreamState& stream, TrackState& track, Now now);
  /// Tells children which of their stripes starve here, when that changed.
  void tell_starving(TrackState& track, Now now);
  [[nodiscard]] StripeMask starving_stripes(const TrackState& track, Now now);

  // --- relay_parents.cpp
  struct Parent {
    Peer* peer = nullptr;
    StripeMask sent = 0;
    StripeMask standby = 0;
    StripeMask confirmed = 0;
  };
  void list_parents(std::vector<Parent>& parents);
  void watch_parents(Now now);
  void watch_beat(Peer& peer, Now now);
  void take_stripe_head(TrackState& track, UpLink& link, const StripeHead& head, Now now);
  void heard(Peer& peer, Now now);
  void connect(Peer& peer, Now now);
  void back_off(Peer& peer, Now now);
  static void forgive(Peer& peer, Now now);
  void lose(TrackState& track, UpLink& link, StripeMask stripes, LossReason reason);
  void lose_all(const Peer& peer, LossReason reason);
  void take_down(Peer& peer, LossReason reason, Now now);
  void forget_session(Peer& peer, Now now);
  void disconnect(Peer& peer, std::string why, LossReason reason, Now now);
  void on_subscribe_ok(Peer& from, const SubscribeOk& message, Now now);
  void on_subscribe_refused(Peer& from, const SubscribeRefused& message, Now now);
  void on_head(Peer& from, const Head& message, Now now);
  void on_upstream_gap(Peer& from, const UpstreamGap& message, Now now);
  void on_go_away(Peer& from, const GoAway& message, Now now);
  void flush_losses();

  // --- relay_heal.cpp
  void suspect(Peer& peer, Now now);
  void fetch_from_standby(TrackState& track, UpLink& link, Now now);
  void heal(TrackState& track, Now now);
  void look_when_hopeless(const StripeState& state, const UpLink& link, StripeIndex stripe,
                          Now now);
  UpLink* adopt_gateway(TrackState& track, StripeIndex stripe, const UpLink& parent, Now now);
  void promote(TrackState& track, StripeIndex stripe, UpLink& from, UpLink& to, Now now);
  [[nodiscard]] UpLink* standby_of(TrackState& track, StripeIndex stripe, const UpLink* besides,
                                   TimePoint now);
  [[nodiscard]] bool is_hopeless(const StripeState& state, const UpLink& link, StripeIndex stripe,
                                 Now now) const;
  [[nodiscard]] static bool is_ready(const UpLink& link, StripeIndex stripe, TimePoint now);
  void note_whole(TrackState& track, StripeIndex stripe, Now now);
  static void begin_mending(TrackState& track, StripeIndex stripe, const UpLink& lost,
                            LossReason reason);
  void note_poor(TrackState& track, StripeIndex stripe, const UpLink& by, Now now);

  // --- relay_rescue.cpp
  void repair_tracks(Now now);
  void repair_track(StreamState& stream, TrackState& track, Now now);
  std::vector<MissingSlice> missing_slices(StreamState& stream, TrackState& track, Now now);
  MissingSlice describe(const StreamState& stream, const TrackState& track,
                        const StripeRepair::Hole& hole, Now now) const;
  struct Asking;
  bool ask(Asking& asking, const MissingSlice& slice, const RepairPlan::Ask& ask);
  UpLink* other_source(TrackState& track, StripeIndex stripe, Now now);
  UpLink* repair_source(TrackState& track, StripeIndex stripe, Now now);
  UpLink* gateway_link(StreamState& stream, TrackState& track, Now now);
  void look_soon(TrackState& track, Now now);
  void on_fetch_refused(Peer& from, const FetchRefused& message, Now now);
  void on_dropped(Peer& from, const Dropped& message, Now now);
  void add_fetch(Fetch& fetch, const TrackState& track, SliceSeq seq);
  void send_fetch(UpLink& link, Fetch fetch, Now now);

  // --- relay_origin.cpp
  bool ask_origin(StreamState& stream, TrackState& track, const MissingSlice& slice);
  static std::pair<std::uint64_t, std::uint64_t> unsigned_part(const OriginRequest& asked,
                                                               const TrackState& track);
  void take_origin_slices(const OriginRequest& request, std::uint64_t known, TrackState& track,
                          Now now);
  [[nodiscard]] std::uint64_t origin_size_max(std::uint64_t length) const noexcept;

  static UpLink* find_link(TrackState& track, const Peer& peer);
  template <class Visit>
  void for_each_link(const Peer& peer, Visit&& visit);

  // What every input looks at stands together.
  PeerIndex<Peer> peer_index_;
  std::map<wire::StreamTag, StreamState*> tags_;
  std::deque<Action> actions_;
  std::array<TimePoint, kDuties> dues_ = [] {
    std::array<TimePoint, kDuties> never{};
    never.fill(kNever);
    return never;
  }();
  TimePoint rests_until_{};  ///< timers never fire faster than kTimerFloor
  bool draining_ = false;
  bool serving_ = true;  ///< to children; false while the upload budget gives nothing
  bool dirty_ = false;

  NodeId self_;
  RelayLimits limits_;
  std::optional<NetworkId> network_;
  OnlineKeys keys_;
  AllocationGrace grace_;
  ReceiptIssuer issuer_;
  SliceCache cache_;
  std::map<NodeId, std::unique_ptr<Peer>> peers_;
  std::vector<Peer*> children_;  ///< those with a subscription, by id
  std::map<StreamId, std::unique_ptr<StreamState>> streams_;
  std::vector<HeldSubscribe> held_;
  struct Loss {
    StreamId stream;
    TrackId track;
    StripeMask stripes = 0;
    NodeId parent;
    LossReason reason;
  };
  std::vector<Parent> parents_;  ///< what watch_parents() looks at: its room is kept
  std::vector<Loss> losses_;     ///< of this input: told when it is known who took over
  std::map<std::uint64_t, OriginRequest> origin_requests_;
  std::uint64_t next_request_ = 1;
  DuplicateBudget duplicates_;
  TimePoint tell_have_at_ = kNever;
  TimePoint deaf_until_{};  ///< our own timers were late: what parents sent is still unread
  std::uint64_t next_session_ = 1;
  std::uint64_t next_arrival_ = 1;
};

template <class Visit>
void Relay::Impl::for_each_link(const Peer& peer, Visit&& visit) {
  for (auto& [stream_id, stream] : streams_) {
    for (auto& [track_id, track] : stream->tracks) {
      if (UpLink* link = find_link(*track, peer)) visit(*stream, *track, *link);
    }
  }
}

}  // namespace tayga::relay
