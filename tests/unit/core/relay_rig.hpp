#pragma once

#include "daemon/core/relay.hpp"
#include "tests/sim/relay_world.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

namespace tayga::test {

using relay::Relay;
using sim::at;
using sim::kStart;

inline constexpr TrackId kTrack{1};

/// One relay under test whose peers are played by the test, in virtual time.
struct Rig {
  explicit Rig(unsigned stripe_count = 1, relay::RelayLimits limits = {})
      : stripes{stripe_count}, relay{self, limits, 10s} {
    world.introduce(relay);
    drain();
  }

  sim::RelayWorld world;
  crypto::SigningKey self = sim::make_key(1);
  crypto::SigningKey parent = sim::make_key(2);
  crypto::SigningKey parent2 = sim::make_key(3);
  crypto::SigningKey child = sim::make_key(4);
  crypto::SigningKey child2 = sim::make_key(5);
  unsigned stripes;
  Relay relay;
  sim::TestPublisher publisher{world, kTrack};
  TimePoint now = kStart;
  std::uint64_t revision = 1;
  std::vector<Relay::Action> log;  ///< all actions so far, progress and wake-ups excluded
  std::map<NodeId, unsigned> ready;

  [[nodiscard]] NodeId self_id() const { return self.node_id(); }
  [[nodiscard]] relay::StripeMask all() const {
    return stripes == 32 ? ~relay::StripeMask{0} : (relay::StripeMask{1} << stripes) - 1;
  }

  void drain() {
    while (auto action = relay.poll_action()) {
      if (const auto* media = std::get_if<Relay::MediaReady>(&*action)) {
        ++ready[media->peer];
      } else if (!std::holds_alternative<Relay::Progress>(*action)) {
        log.push_back(std::move(*action));
      }
    }
  }
  /// Lets time pass; the relay gets every timeout that falls due.
  void pass(Duration duration) {
    const TimePoint end = now + duration;
    for (int guard = 0; guard < 100'000; ++guard) {
      const auto next = relay.next_timeout();
      if (!next || *next > end) break;
      now = std::max(now, *next);
      relay.on_timeout(at(now));
      drain();
    }
    now = end;
  }
  template <class T>
  std::vector<T> take() {
    std::vector<T> found;
    std::erase_if(log, [&](const Relay::Action& action) {
      const T* wanted = std::get_if<T>(&action);
      if (wanted != nullptr) found.push_back(*wanted);
      return wanted != nullptr;
    });
    return found;
  }
  /// Messages of one kind to one peer, taken out of the log.
  template <class M>
  std::vector<M> sent(const NodeId& peer) {
    std::vector<M> found;
    std::erase_if(log, [&](const Relay::Action& action) {
      const auto* send = std::get_if<Relay::Send>(&action);
      if (send == nullptr || send->peer != peer) return false;
      const M* wanted = std::get_if<M>(&send->message);
      if (wanted != nullptr) found.push_back(*wanted);
      return wanted != nullptr;
    });
    return found;
  }

  /// Stripe i of kTrack comes from parents[i % size].
  relay::Assignment assignment(const std::vector<NodeId>& parents) {
    relay::Assignment target;
    target.incarnation = 1;
    target.revision = revision++;
    target.stream = world.descriptor(stripes);
    for (unsigned i = 0; i < stripes && !parents.empty(); ++i) {
      const NodeId& from = parents[i % parents.size()];
      target.upstream.push_back(
          {kTrack, StripeIndex{static_cast<std::uint8_t>(i)}, from, relay::UpstreamRole::primary});
    }
    for (const NodeId& from : parents)
      target.allocations.push_back(world.allocate(from, self_id()));
    return target;
  }
  void assign(const std::vector<NodeId>& parents) {
    relay.on_assignment(assignment(parents), at(now));
    drain();
  }
  void up(const NodeId& peer) {
    relay.on_peer_up(peer, at(now));
    drain();
  }
  void down(const NodeId& peer, relay::LossReason reason = relay::LossReason::closed) {
    relay.on_peer_down(peer, reason, at(now));
    drain();
  }
  void hear(const NodeId& peer, relay::PeerMessage message) {
    relay.on_message(peer, message, at(now));
    drain();
  }
  void confirm(const NodeId& peer, std::optional<relay::StripeMask> mask = std::nullopt) {
    hear(peer, relay::SubscribeOk{world.stream(), kTrack, mask.value_or(all())});
  }
  /// What a peer says that completed all below `next`.
  relay::Head head(SliceSeq next, std::uint32_t hops = 0) {
    relay::Head told;
    relay::TrackHead& track = told.tracks.emplace_back();
    track.stream_tag = wire::to_stream_tag(world.stream());
    track.track = kTrack;
    track.epoch = PublisherEpoch{1000};
    for (unsigned i = 0; i < stripes; ++i) {
      track.stripes.push_back({StripeIndex{static_cast<std::uint8_t>(i)}, next, hops});
    }
    return told;
  }
  /// A parent that is up, subscribed and confirmed.
  void join_parent() {
    assign({parent.node_id()});
    up(parent.node_id());
    confirm(parent.node_id());
    log.clear();
  }

  void frame(const NodeId& from, const SharedBytes& bytes) {
    relay.on_media(from, sim::frame_type(bytes), sim::frame_payload(bytes), at(now));
    drain();
  }
  void feed(const NodeId& from, const media::SignedSlice& slice) {
    frame(from, slice.header_frame);
    for (const auto& chunk : slice.chunk_frames) frame(from, chunk);
  }
  void feed(const NodeId& from, const std::vector<media::SignedSlice>& slices) {
    for (const auto& slice : slices) feed(from, slice);
  }
  void publish(const std::vector<media::SignedSlice>& slices) {
    for (const auto& slice : slices) relay.on_published(slice, at(now));
    drain();
  }
  void start_publishing() {
    relay.on_publish_started(world.descriptor(stripes), at(now));
    drain();
  }

  [[nodiscard]] relay::Subscribe request(const NodeId& from) const {
    relay::Subscribe subscribe;
    subscribe.stream = world.stream();
    subscribe.track = kTrack;
    subscribe.stripes = all();
    subscribe.allocation = world.allocate(self_id(), from);
    return subscribe;
  }
  void join_child(const NodeId& peer) {
    up(peer);
    hear(peer, request(peer));
  }
  std::optional<SharedBytes> pull(const NodeId& peer) {
    auto media = relay.next_media(peer, at(now));
    drain();
    if (!media) return std::nullopt;
    return media->frame;
  }
  std::vector<SharedBytes> pull_all(const NodeId& peer) {
    std::vector<SharedBytes> frames;
    while (auto next = pull(peer)) frames.push_back(std::move(*next));
    return frames;
  }
};

/// Paths of the objects whose first slice is among the frames, in order.
inline std::vector<std::string> paths_of(const std::vector<SharedBytes>& frames) {
  std::vector<std::string> paths;
  for (const auto& frame : frames) {
    if (sim::frame_type(frame) != wire::FrameType::slice_header) continue;
    const auto header = media::parse_slice_header(sim::frame_payload(frame));
    if (header->first) paths.push_back(header->path);
  }
  return paths;
}
inline std::vector<SharedBytes> frames_of(const std::vector<media::SignedSlice>& slices) {
  std::vector<SharedBytes> frames;
  for (const auto& slice : slices) {
    frames.push_back(slice.header_frame);
    frames.insert(frames.end(), slice.chunk_frames.begin(), slice.chunk_frames.end());
  }
  return frames;
}
inline bool same_bytes(const std::vector<SharedBytes>& a, const std::vector<SharedBytes>& b) {
  return std::ranges::equal(a, b, [](const auto& x, const auto& y) { return *x == *y; });
}
inline SharedBytes tampered(const SharedBytes& frame) {
  auto copy = std::make_shared<Bytes>(*frame);
  copy->back() ^= std::byte{1};
  return copy;
}

/// Why the last request of a peer was refused.
inline std::optional<relay::RefuseReason> refusal(Rig& rig, const NodeId& peer) {
  const auto refused = rig.sent<relay::SubscribeRefused>(peer);
  if (refused.empty()) return std::nullopt;
  return refused.back().reason;
}
inline relay::ChildStatus child_status(const Rig& rig, const NodeId& child) {
  for (const auto& status : rig.relay.children(rig.now)) {
    if (status.child == child) return status;
  }
  return {};
}

}  // namespace tayga::test
