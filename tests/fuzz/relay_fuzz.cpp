#include "common/base/check.hpp"
#include "daemon/core/relay.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/sim/relay_world.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>
#include <vector>

// A relay among peers that say anything in any order. Whatever they do: only the publisher's own
// bytes are forwarded or played, every queue and the cache stay within their limits, timers go
// forward. The input is a list of operations, each a few bytes; what is missing reads as zero.
namespace {

using namespace tayga;
using relay::Relay;

constexpr unsigned kStripes = 2;
constexpr std::size_t kPeers = 5;
constexpr TrackId kTrack{1};
constexpr std::size_t kOperationsMax = 200;

/// Made once: keys, and an hour's worth of trouble in slices of two publisher epochs.
struct Fixture {
  sim::RelayWorld world;
  crypto::SigningKey self = sim::make_key(1);
  std::vector<NodeId> peers;
  std::vector<wire::AllocationBlob> to_us;    // by peer
  std::vector<wire::AllocationBlob> from_us;  // by peer
  std::vector<media::SignedSlice> slices;
  std::set<Bytes> genuine;  // all frames

  Fixture() {
    for (unsigned i = 0; i < kPeers; ++i) {
      peers.push_back(sim::make_key(10 + i).node_id());
      to_us.push_back(world.allocate(peers[i], self.node_id()));
      from_us.push_back(world.allocate(self.node_id(), peers[i]));
    }
    for (const std::uint32_t epoch : {1000U, 2000U}) {
      sim::TestPublisher publisher{world, kTrack, epoch};
      const auto now = sim::at(sim::kStart);
      add(publisher.init(now));
      for (unsigned i = 0; i < 3; ++i) {
        add(publisher.segment(i, 70'000, now));
        add(publisher.playlist(i, now));
      }
    }
  }
  void add(std::vector<media::SignedSlice> made) {
    for (auto& slice : made) {
      genuine.insert(*slice.header_frame);
      for (const auto& chunk : slice.chunk_frames) genuine.insert(*chunk);
      slices.push_back(std::move(slice));
    }
  }
};

const Fixture& fixture() {
  static const Fixture made;
  return made;
}

class Run {
 public:
  explicit Run(ByteView bytes) : in_{bytes} {
    limits_.cache_bytes = 400'000;
    limits_.child_queue_bytes = 60'000;
    relay_ = std::make_unique<Relay>(made_.self, limits_, 10s);
    made_.world.introduce(*relay_);
  }

  void go() {
    for (std::size_t i = 0; i < kOperationsMax && !in_.empty(); ++i) {
      operate();
      drain();
      check();
    }
    check_objects();
  }

 private:
  [[nodiscard]] relay::Now now() const { return sim::at(mono_); }
  const NodeId& peer() { return made_.peers[in_.below(kPeers)]; }

  void drain() {
    while (auto action = relay_->poll_action()) {
      if (auto* fetch = std::get_if<Relay::FetchOrigin>(&*action)) origin_ = std::move(*fetch);
    }
  }

  void operate() {
    switch (in_.below(14)) {
      case 0:
        return relay_->on_peer_up(peer(), now());
      case 1:
        return relay_->on_peer_down(peer(), relay::LossReason::reset, now());
      case 2:
        return assign();
      case 3:
        return send_header();
      case 4:
        return send_chunk();
      case 5:
        return send_garbage();
      case 6:
        return subscribe();
      case 7:
        return ask();
      case 8:
        return tell();
      case 9:
        return pass();
      case 10:
        return pull();
      case 11:
        return demand();
      case 12:
        return press();
      case 13:
        return answer_origin();
    }
  }

  void assign() {
    relay::Assignment target;
    target.incarnation = 1 + in_.below(2);
    target.revision = in_.byte();
    const std::uint8_t kind = in_.byte();
    target.stream = made_.world.descriptor((kind & 0x40) != 0 ? 1U + in_.byte() % 33U : kStripes);
    target.carry = (kind & 0x80) == 0;
    if (in_.byte() < 128) {
      target.stream.origin_url = "http://origin.example/index.m3u8";
      target.rescue.gateways = {peer()};
      target.rescue.share_permille = 1000;
    }
    for (std::size_t i = 0; i < (kind & 7U); ++i) {
      const std::size_t parent = in_.below(kPeers);
      target.upstream.push_back(
          {TrackId{1U + static_cast<std::uint32_t>(in_.byte() / 100)},
           StripeIndex{static_cast<std::uint8_t>(in_.byte() % 3)}, made_.peers[parent],
           (kind & 8) != 0 ? relay::UpstreamRole::standby : relay::UpstreamRole::primary});
      target.allocations.push_back(made_.to_us[parent]);
    }
    relay_->on_assignment(target, now());
  }

  void send_frame(const SharedBytes& frame) {
    const NodeId& from = peer();
    const ByteView payload = sim::frame_payload(frame);
    Bytes bytes{payload.begin(), payload.end()};
    const std::uint8_t flip = in_.byte();
    if (flip < 32) {
      bytes[(std::size_t{flip} * 251 + in_.byte()) % bytes.size()] ^= std::byte{1};
    }
    relay_->on_media(from, sim::frame_type(frame), bytes, now());
  }
  void send_header() { send_frame(made_.slices[in_.below(made_.slices.size())].header_frame); }
  void send_chunk() {
    const auto& slice = made_.slices[in_.below(made_.slices.size())];
    if (!slice.chunk_frames.empty()) {
      send_frame(slice.chunk_frames[in_.below(slice.chunk_frames.size())]);
    }
  }
  void send_garbage() {
    const auto type = in_.below(2) == 0 ? wire::FrameType::slice_header : wire::FrameType::chunk;
    const NodeId& from = peer();
    relay_->on_media(from, type, in_.take(in_.byte()), now());
  }

  void subscribe() {
    const std::size_t child = in_.below(kPeers);
    relay::Subscribe message;
    message.stream = made_.world.stream();
    message.track = TrackId{in_.byte() < 200 ? 1U : 2U};
    message.stripes = static_cast<relay::StripeMask>(in_.number());
    message.mode = in_.byte() < 200 ? relay::SubscribeMode::active : relay::SubscribeMode::standby;
    message.epoch = PublisherEpoch{in_.byte() < 128 ? 1000U : 2000U};
    for (std::size_t i = in_.below(3); i > 0; --i) {
      message.starts.push_back({StripeIndex{in_.byte()}, SliceSeq{in_.number()}});
    }
    message.allocation = made_.from_us[in_.byte() < 220 ? child : in_.below(kPeers)];
    relay_->on_message(made_.peers[child], message, now());
  }

  void ask() {
    relay::Fetch fetch{made_.world.stream(), kTrack, PublisherEpoch{1000}, {}};
    const NodeId& from = peer();
    if (in_.byte() < 128) fetch.epoch = PublisherEpoch{2000};
    for (std::size_t i = in_.below(80); i > 0; --i) {
      fetch.ranges.push_back({SliceSeq{in_.number()}, SliceSeq{in_.number()}});
      if (in_.byte() < 32) fetch.ranges.back().have = in_.byte();
    }
    fetch.rescue = in_.byte() < 64;
    relay_->on_message(from, fetch, now());
  }

  void tell() {
    const NodeId& from = peer();
    const StreamId stream = made_.world.stream();
    const std::uint8_t kind = in_.byte();
    const auto mask = static_cast<relay::StripeMask>(in_.number());
    const auto send = [&](relay::PeerMessage message) { relay_->on_message(from, message, now()); };
    switch (kind % 8) {
      case 0:
        return send(relay::SubscribeOk{stream, kTrack, mask});
      case 1:
        return send(relay::SubscribeRefused{stream, kTrack, mask,
                                            relay::RefuseReason::unknown_stream,
                                            Duration{static_cast<Duration::rep>(in_.number())}});
      case 2:
        return send(relay::Unsubscribe{stream, kTrack, mask});
      case 3:
        return send(relay::UpstreamGap{stream, kTrack, mask});
      case 4:
        return send(relay::GoAway{relay::GoAwayReason::shutdown,
                                  Duration{static_cast<Duration::rep>(in_.number())}});
      case 5:
        return send(relay::PeerReceipt{});
      case 6: {
        relay::Head head;
        head.tracks.push_back({wire::to_stream_tag(stream),
                               kTrack,
                               PublisherEpoch{1000},
                               {{StripeIndex{in_.byte()}, SliceSeq{in_.number()}, in_.byte()}}});
        return send(head);
      }
      case 7:
        return send(relay::Ping{in_.number()});
    }
  }

  void press() {
    const StreamId stream = made_.world.stream();
    const NodeId& from = peer();
    const SliceSeq first{in_.number()};
    const std::uint8_t kind = in_.byte();
    if (kind < 64) {
      relay_->on_message(
          from, relay::FetchRefused{stream, kTrack, PublisherEpoch{1000}, first, 500ms, true},
          now());
      return;
    }
    if (kind < 128) return tell_have(from, first);
    relay_->on_message(
        from,
        relay::Dropped{
            stream, kTrack, PublisherEpoch{1000}, {{first, SliceSeq{in_.number()}}}, 100ms},
        now());
  }

  void tell_have(const NodeId& from, SliceSeq first) {
    relay::Have have{made_.world.stream(), kTrack, PublisherEpoch{1000}, {}};
    if (in_.byte() < 128) have.epoch = PublisherEpoch{2000};
    have.ranges.push_back({first, SliceSeq{in_.number()}});
    for (std::size_t i = in_.below(70); i > 0; --i) {
      const SliceSeq seq{in_.byte()};
      have.ranges.push_back({seq, SliceSeq{seq.value() + in_.below(8)}});
    }
    relay_->on_message(from, have, now());
  }

  /// The truth, in two pieces, or anything at all; what no header covers is believed.
  void answer_origin() {
    const std::uint8_t kind = in_.byte();
    if (kind < 64) {
      relay_->on_origin_bytes(in_.number(), in_.number(), in_.take(in_.byte()), now());
      relay_->on_origin_done(in_.number(), {true, in_.number()}, now());
      return;
    }
    if (!origin_) return;
    const Bytes whole = sim::content_of(origin_->path, 70'000);
    const std::uint64_t begin = std::min<std::uint64_t>(origin_->offset, whole.size());
    const std::uint64_t length = origin_->length == 0 ? whole.size() - begin : origin_->length;
    const ByteView part =
        ByteView{whole}.subspan(begin).first(std::min<std::uint64_t>(length, whole.size() - begin));
    const std::size_t cut = in_.below(part.size() + 1);
    relay_->on_origin_bytes(origin_->request, begin, part.first(cut), now());
    if (kind < 200) {
      relay_->on_origin_bytes(origin_->request, begin + cut, part.subspan(cut), now());
    }
    relay_->on_origin_done(origin_->request, {kind < 220, whole.size()}, now());
    origin_.reset();
  }

  void pass() {
    const std::uint8_t steps = in_.byte();
    const TimePoint end = mono_ + Duration{10ms} * steps * (1 + in_.below(20));
    for (int i = 0; i < 50; ++i) {
      const auto next = relay_->next_timeout();
      if (!next || *next > end) break;
      mono_ = std::max(mono_, *next);
      relay_->on_timeout(now());
      const auto after = relay_->next_timeout();
      TAYGA_CHECK(!after || *after > mono_ || i < 40);  // a timer that fires in circles
      drain();
    }
    mono_ = std::max(mono_, end);
    relay_->on_timeout(now());
  }

  void pull() {
    const NodeId& child = peer();
    for (std::size_t i = in_.byte(); i > 0; --i) {
      const auto media = relay_->next_media(child, now());
      if (!media) return;
      TAYGA_CHECK(made_.genuine.contains(*media->frame));
    }
  }

  void demand() {
    std::vector<TrackId> tracks;
    if (in_.byte() < 180) tracks.push_back(kTrack);
    relay_->on_local_demand(made_.world.stream(), tracks, now());
  }

  void check_objects() {
    const auto* store = relay_->objects(made_.world.stream(), kTrack);
    if (store == nullptr) return;
    for (const auto& object : store->list()) {
      if (!object.complete() || object.path.empty()) continue;
      TAYGA_CHECK(sim::read_all(*store, object) == sim::content_of(object.path, *object.size));
    }
  }

  void check() {
    for (const auto& child : relay_->children(mono_)) {
      TAYGA_CHECK(child.queued_bytes <= limits_.child_queue_bytes);
    }
    for (const auto& stream : relay_->streams()) {
      TAYGA_CHECK(stream.cached_bytes <= limits_.cache_bytes);
    }
  }

  const Fixture& made_ = fixture();
  fuzz::Input in_;
  relay::RelayLimits limits_;
  std::unique_ptr<Relay> relay_;
  std::optional<Relay::FetchOrigin> origin_;
  TimePoint mono_ = sim::kStart;
};

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Run{fuzz::to_view(data, size)}.go();
  return 0;
}
