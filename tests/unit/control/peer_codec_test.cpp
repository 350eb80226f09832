#include "daemon/control/peer_codec.hpp"

#include "common/wire/frame.hpp"
#include "tayga/v1/peer.pb.h"
#include "tests/support/catch.hpp"

#include <algorithm>
#include <random>
#include <string>

namespace tayga::control {
namespace {

constexpr std::size_t kKinds = std::variant_size_v<relay::PeerMessage>;

/// Draws every field of every message within the limits of the protocol.
class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_{seed} {}

  relay::PeerMessage message(std::size_t kind) {
    switch (kind) {
      case 0:
        return relay::Hello{1 + u32() % 7, text(u32() % (kSoftwareSizeMax + 1)), id<NetworkId>()};
      case 1:
        return subscribe();
      case 2:
        return relay::SubscribeOk{id<StreamId>(), TrackId{u32()}, mask()};
      case 3: {
        const auto reason = static_cast<relay::RefuseReason>(u32() % 5);
        return relay::SubscribeRefused{id<StreamId>(), TrackId{u32()}, mask(), reason,
                                       milliseconds()};
      }
      case 4:
        return relay::Unsubscribe{id<StreamId>(), TrackId{u32()}, mask()};
      case 5:
        return head();
      case 6:
        return fetch();
      case 7:
        return relay::PeerReceipt{blob<wire::kReceiptSize>()};
      case 8:
        return relay::UpstreamGap{id<StreamId>(), TrackId{u32()}, mask()};
      case 9:
        return relay::GoAway{static_cast<relay::GoAwayReason>(u32() % 5), milliseconds()};
      case 10:
        return relay::Ping{random_()};
      case 11:
        return relay::Pong{random_()};
      case 12:
        return relay::FetchRefused{id<StreamId>(),      TrackId{u32()}, PublisherEpoch{u32()},
                                   SliceSeq{random_()}, milliseconds(), u32() % 2 == 0};
      case 13:
        return relay::Dropped{id<StreamId>(), TrackId{u32()}, PublisherEpoch{u32()}, ranges(),
                              milliseconds()};
      default:
        return relay::Have{id<StreamId>(), TrackId{u32()}, PublisherEpoch{u32()}, ranges()};
    }
  }

 private:
  std::uint32_t u32() { return static_cast<std::uint32_t>(random_()); }
  relay::StripeMask mask() { return u32() | 1; }
  Duration milliseconds() { return std::chrono::milliseconds{u32()}; }
  StripeIndex stripe() { return StripeIndex{static_cast<std::uint8_t>(u32() % kStripeCountMax)}; }
  std::string text(std::size_t size) {
    std::string out(size, ' ');
    for (char& c : out) c = static_cast<char>(0x20 + u32() % 95);
    return out;
  }
  template <std::size_t N>
  std::array<std::byte, N> blob() {
    std::array<std::byte, N> out;
    for (std::byte& b : out) b = static_cast<std::byte>(u32());
    return out;
  }
  template <class Id>
  Id id() {
    return Id{blob<Id::kSize>()};
  }
  relay::Subscribe subscribe() {
    relay::Subscribe out{id<StreamId>(),
                         TrackId{u32()},
                         mask(),
                         relay::SubscribeMode::active,
                         PublisherEpoch{u32()},
                         {},
                         blob<wire::kAllocationSize>()};
    if (u32() % 2) out.mode = relay::SubscribeMode::standby;
    for (auto n = u32() % (kStripeCountMax + 1); n > 0; --n) {
      out.starts.push_back({stripe(), SliceSeq{random_()}});
    }
    return out;
  }
  relay::Head head() {
    relay::Head out;
    for (auto n = u32() % 6; n > 0; --n) {
      relay::TrackHead track{id<wire::StreamTag>(), TrackId{u32()}, PublisherEpoch{u32()}, {}};
      for (auto k = u32() % (kStripeCountMax + 1); k > 0; --k) {
        track.stripes.push_back({stripe(), SliceSeq{random_()}, u32() % (kHopsMax + 1)});
      }
      out.tracks.push_back(std::move(track));
    }
    return out;
  }
  relay::Fetch fetch() {
    return {id<StreamId>(), TrackId{u32()}, PublisherEpoch{u32()}, ranges(), u32() % 2 == 0};
  }
  std::vector<relay::SeqRange> ranges() {
    std::vector<relay::SeqRange> out;
    for (auto n = u32() % (relay::kFetchRangesMax + 1); n > 0; --n) {
      const std::uint64_t first = random_() >> 1;
      const std::uint64_t further = u32() % 2 ? u32() % kFetchRangeSlicesMax : 0;
      const std::uint32_t have = further == 0 ? u32() : 0;
      out.push_back({SliceSeq{first}, SliceSeq{first + further}, have});
    }
    return out;
  }

  std::mt19937_64 random_;
};

Bytes payload_of(const SharedBytes& frame) {
  const auto header = wire::parse_frame_header(*frame);
  REQUIRE(header.has_value());
  CHECK(header->type == wire::FrameType::control);
  CHECK(header->payload_size == frame->size() - wire::kFrameHeaderSize);
  return Bytes(frame->begin() + wire::kFrameHeaderSize, frame->end());
}

error_code refusal(const v1::PeerMessage& message) {
  const auto decoded = decode_control(as_bytes(message.SerializeAsString()));
  return decoded ? error_code{} : decoded.error();
}

/// A valid Subscribe, to be spoilt one field at a time.
v1::PeerMessage subscribe_message() {
  v1::PeerMessage message;
  auto& subscribe = *message.mutable_subscribe();
  subscribe.set_stream_id(std::string(32, 's'));
  subscribe.set_stripe_mask(3);
  subscribe.set_mode(v1::Subscribe::MODE_ACTIVE);
  subscribe.set_allocation(std::string(232, 'a'));
  return message;
}

v1::PeerMessage fetch_message(std::uint64_t first, std::uint64_t last) {
  v1::PeerMessage message;
  message.mutable_fetch()->set_stream_id(std::string(32, 's'));
  message.mutable_fetch()->add_ranges()->set_first(first);
  message.mutable_fetch()->mutable_ranges(0)->set_last(last);
  return message;
}

}  // namespace

TEST_CASE("every peer message survives its frame") {
  STATIC_REQUIRE(kKinds == 15);
  for (std::uint64_t seed = 1; seed <= 1200; ++seed) {
    Generator generator{seed};
    const relay::PeerMessage message = generator.message(seed % kKinds);
    INFO("seed " << seed);
    REQUIRE(message.index() == seed % kKinds);
    const auto decoded = decode_control(payload_of(encode_control_frame(message)));
    REQUIRE(decoded.has_value());
    REQUIRE(*decoded == message);
  }
}

TEST_CASE("a truncated or flipped peer message never crashes the codec") {
  for (std::uint64_t seed = 1; seed <= 240; ++seed) {
    Generator generator{seed};
    Bytes payload = payload_of(encode_control_frame(generator.message(seed % kKinds)));
    std::mt19937_64 random{seed};
    for (int i = 0; i < 20 && !payload.empty(); ++i) {
      Bytes damaged = payload;
      damaged[random() % damaged.size()] ^= static_cast<std::byte>(1u << (random() % 8));
      if (i % 2) damaged.resize(random() % damaged.size());
      const auto decoded = decode_control(damaged);
      // What is still accepted must be a message that we could have sent ourselves.
      if (decoded) {
        const auto again = decode_control(payload_of(encode_control_frame(*decoded)));
        REQUIRE(again.has_value());
        REQUIRE(*again == *decoded);
      }
    }
  }
}

TEST_CASE("ids, blobs and texts of another size are refused") {
  CHECK_FALSE(refusal(subscribe_message()));
  auto message = subscribe_message();
  message.mutable_subscribe()->set_stream_id(std::string(31, 's'));
  CHECK(refusal(message) == ControlErrc::bad_size);
  message = subscribe_message();
  message.mutable_subscribe()->set_allocation(std::string(233, 'a'));
  CHECK(refusal(message) == ControlErrc::bad_size);
  message.mutable_receipt()->set_receipt(std::string(175, 'r'));
  CHECK(refusal(message) == ControlErrc::bad_size);
  message.mutable_hello()->set_protocol_version(1);
  message.mutable_hello()->set_network_id(std::string(7, 'n'));
  CHECK(refusal(message) == ControlErrc::bad_size);
  message.mutable_hello()->set_network_id(std::string(8, 'n'));
  CHECK_FALSE(refusal(message));
  message.mutable_hello()->set_software(std::string(kSoftwareSizeMax + 1, 'x'));
  CHECK(refusal(message) == ControlErrc::bad_size);
  message.mutable_hello()->set_software("taygad\n9");
  CHECK(refusal(message) == ControlErrc::bad_value);
}

TEST_CASE("masks, stripes, modes and ranges out of range are refused") {
  auto message = subscribe_message();
  message.mutable_subscribe()->set_stripe_mask(0);
  CHECK(refusal(message) == ControlErrc::bad_value);
  message = subscribe_message();
  message.mutable_subscribe()->set_mode(static_cast<v1::Subscribe::Mode>(9));
  CHECK(refusal(message) == ControlErrc::bad_value);
  message = subscribe_message();
  message.mutable_subscribe()->add_starts()->set_stripe(32);
  CHECK(refusal(message) == ControlErrc::bad_value);
  message = subscribe_message();
  for (int i = 0; i < 33; ++i) message.mutable_subscribe()->add_starts();
  CHECK(refusal(message) == ControlErrc::bad_size);

  CHECK_FALSE(refusal(fetch_message(7, 7)));
  CHECK_FALSE(refusal(fetch_message(7, 7 + 255)));
  CHECK(refusal(fetch_message(7, 7 + 256)) == ControlErrc::bad_value);
  CHECK(refusal(fetch_message(7, 6)) == ControlErrc::bad_value);
  auto fetch = fetch_message(1, 1);
  for (int i = 0; i < 64; ++i) fetch.mutable_fetch()->add_ranges();
  CHECK(refusal(fetch) == ControlErrc::bad_size);
}

TEST_CASE("a peer whose gaps are all over names no stripe") {
  relay::UpstreamGap over;
  over.track = TrackId{1};
  const auto frame = control::encode_control_frame(over);
  const auto read = control::decode_control(ByteView{*frame}.subspan(wire::kFrameHeaderSize));
  REQUIRE(read.has_value());
  CHECK(*read == relay::PeerMessage{over});
}

TEST_CASE("what a peer claims of frames and hops is cut to what it can mean") {
  // given a range of two slices with frames that the asker holds, and a depth that no tree has
  auto fetch = fetch_message(7, 8);
  fetch.mutable_fetch()->mutable_ranges(0)->set_have(5);
  v1::PeerMessage head;
  head.mutable_head()->add_tracks()->add_stripes()->set_hops(4'000'000'000);
  // when
  const auto fetched = decode_control(as_bytes(fetch.SerializeAsString()));
  const auto beat = decode_control(as_bytes(head.SerializeAsString()));
  // then
  REQUIRE(fetched.has_value());
  CHECK(std::get<relay::Fetch>(*fetched).ranges ==
        std::vector<relay::SeqRange>{{SliceSeq{7}, SliceSeq{8}, 0}});
  REQUIRE(beat.has_value());
  CHECK(std::get<relay::Head>(*beat).tracks.at(0).stripes.at(0).hops == kHopsMax);
}

TEST_CASE("a long range travels in pieces, and what does not fit is left out") {
  relay::Dropped dropped{{}, TrackId{1}, PublisherEpoch{1}, {}, 5ms};
  dropped.ranges = {{SliceSeq{~std::uint64_t{0} - 600}, SliceSeq{~std::uint64_t{0}}, 0}};
  const auto decoded = decode_control(payload_of(encode_control_frame(dropped)));
  REQUIRE(decoded.has_value());
  const std::uint64_t last = ~std::uint64_t{0};
  CHECK(std::get<relay::Dropped>(*decoded).ranges ==
        std::vector<relay::SeqRange>{{SliceSeq{last - 600}, SliceSeq{last - 345}, 0},
                                     {SliceSeq{last - 344}, SliceSeq{last - 89}, 0},
                                     {SliceSeq{last - 88}, SliceSeq{last}, 0}});

  dropped.ranges = {{SliceSeq{0}, SliceSeq{last}, 0}};
  const auto cut = decode_control(payload_of(encode_control_frame(dropped)));
  REQUIRE(cut.has_value());
  CHECK(std::get<relay::Dropped>(*cut).ranges.size() == relay::kFetchRangesMax);
}

TEST_CASE("of what a peer has from others 64 ranges are told, the first ones") {
  const std::size_t count = GENERATE(0U, 1U, 64U, 65U, 200U);
  relay::Have have{{}, TrackId{3}, PublisherEpoch{4}, {}};
  for (std::size_t i = 0; i < count; ++i) have.ranges.push_back({SliceSeq{2 * i}, SliceSeq{2 * i}});
  const auto decoded = decode_control(payload_of(encode_control_frame(have)));
  REQUIRE(decoded.has_value());
  have.ranges.resize(std::min(count, relay::kFetchRangesMax));
  CHECK(*decoded == relay::PeerMessage{have});
}

TEST_CASE("what a peer claims to have from others is checked like a fetch") {
  v1::PeerMessage message;
  message.mutable_have()->set_stream_id(std::string(31, 's'));
  CHECK(refusal(message) == ControlErrc::bad_size);
  message.mutable_have()->set_stream_id(std::string(32, 's'));
  CHECK_FALSE(refusal(message));
  message.mutable_have()->add_ranges()->set_first(1);
  CHECK(refusal(message) == ControlErrc::bad_value);
  message.mutable_have()->mutable_ranges(0)->set_last(1 + 256);
  CHECK(refusal(message) == ControlErrc::bad_value);
  message.mutable_have()->mutable_ranges(0)->set_last(1 + 255);
  CHECK_FALSE(refusal(message));
  for (int i = 0; i < 63; ++i) message.mutable_have()->add_ranges();
  CHECK_FALSE(refusal(message));
  message.mutable_have()->add_ranges();
  CHECK(refusal(message) == ControlErrc::bad_size);
}

TEST_CASE("a refused fetch and a dropped range are checked like a fetch") {
  v1::PeerMessage message;
  message.mutable_fetch_refused()->set_stream_id(std::string(31, 's'));
  CHECK(refusal(message) == ControlErrc::bad_size);
  message.mutable_fetch_refused()->set_stream_id(std::string(32, 's'));
  CHECK_FALSE(refusal(message));
  message.mutable_dropped()->set_stream_id(std::string(32, 's'));
  message.mutable_dropped()->add_ranges()->set_first(1);
  CHECK(refusal(message) == ControlErrc::bad_value);
  message.mutable_dropped()->mutable_ranges(0)->set_last(1);
  CHECK_FALSE(refusal(message));
  for (int i = 0; i < 64; ++i) message.mutable_dropped()->add_ranges();
  CHECK(refusal(message) == ControlErrc::bad_size);
}

TEST_CASE("a message of a newer version is told apart from a broken one") {
  CHECK(decode_control({}).error() == ControlErrc::unknown_message);
  const std::string newer{"\xa2\x06\x03new", 6};  // field 100, length-delimited
  CHECK(decode_control(as_bytes(newer)).error() == ControlErrc::unknown_message);
  CHECK(decode_control(as_bytes(std::string(3, '\xff'))).error() == ControlErrc::malformed);

  v1::PeerMessage message;
  message.mutable_go_away()->set_reason(static_cast<v1::GoAway::Reason>(77));
  const std::string newer_reason = message.SerializeAsString();
  const auto go_away = decode_control(as_bytes(newer_reason));
  REQUIRE(go_away.has_value());
  CHECK(*go_away == relay::PeerMessage{relay::GoAway{relay::GoAwayReason::shutdown, 0s}});
}

TEST_CASE(
    "a message above 64 KiB, nested too deeply or of too many parts is refused before it is "
    "built") {
  CHECK(decode_control(Bytes(wire::kPayloadSizeMax + 1)).error() == ControlErrc::message_too_large);

  std::string nested;
  for (int i = 0; i < 40; ++i) nested.insert(0, 1, '\x0b').push_back('\x0c');  // groups of field 1
  CHECK(decode_control(as_bytes(nested)).error() == ControlErrc::malformed);

  v1::PeerMessage message;
  for (std::size_t i = 1; i < kPeerMessagePartsMax; ++i) message.mutable_head()->add_tracks();
  CHECK_FALSE(refusal(message));
  message.mutable_head()->add_tracks();
  CHECK(refusal(message) == ControlErrc::too_many_parts);

  // The same number of stripes hidden one level deeper.
  message.mutable_head()->Clear();
  auto& track = *message.mutable_head()->add_tracks();
  for (std::size_t i = 0; i < kPeerMessagePartsMax; ++i) track.add_stripes();
  CHECK(refusal(message) == ControlErrc::too_many_parts);
}

TEST_CASE("a head that is too large loses its last tracks and stays readable") {
  relay::Head head;
  for (std::uint32_t t = 0; t < 200; ++t) {
    relay::TrackHead track{{}, TrackId{t}, PublisherEpoch{1}, {}};
    for (std::uint8_t s = 0; s < kStripeCountMax; ++s) {
      track.stripes.push_back({StripeIndex{s}, SliceSeq{~std::uint64_t{0}}});
    }
    head.tracks.push_back(track);
  }
  const auto decoded = decode_control(payload_of(encode_control_frame(head)));
  REQUIRE(decoded.has_value());
  const auto& tracks = std::get<relay::Head>(*decoded).tracks;
  REQUIRE(tracks.size() == (kPeerMessagePartsMax - 1) / (kStripeCountMax + 1));
  CHECK(tracks.back() == head.tracks[tracks.size() - 1]);
}

}  // namespace tayga::control
