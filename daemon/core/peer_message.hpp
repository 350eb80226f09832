#pragma once

#include "common/base/bytes.hpp"
#include "common/base/ids.hpp"
#include "common/base/time.hpp"
#include "common/wire/allocation.hpp"
#include "common/wire/frame.hpp"
#include "common/wire/receipt.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

/// The control messages of a peer session as plain values; daemon/control/peer_codec maps them to
/// and from proto/tayga/v1/peer.proto.
namespace tayga::relay {

using StripeMask = std::uint32_t;
constexpr StripeMask to_mask(StripeIndex stripe) noexcept {
  return StripeMask{1} << stripe.value();
}

struct StripeStart {
  StripeIndex stripe;
  SliceSeq next_seq;
  friend bool operator==(const StripeStart&, const StripeStart&) = default;
};

enum class SubscribeMode : std::uint8_t { active, standby };

struct Hello {
  std::uint32_t protocol_version = 1;
  std::string software;
  NetworkId network;
  friend bool operator==(const Hello&, const Hello&) = default;
};
struct Subscribe {
  StreamId stream;
  TrackId track;
  StripeMask stripes = 0;
  SubscribeMode mode = SubscribeMode::active;
  PublisherEpoch epoch;
  std::vector<StripeStart> starts;
  wire::AllocationBlob allocation{};
  friend bool operator==(const Subscribe&, const Subscribe&) = default;
};
struct SubscribeOk {
  StreamId stream;
  TrackId track;
  StripeMask stripes = 0;
  friend bool operator==(const SubscribeOk&, const SubscribeOk&) = default;
};
enum class RefuseReason : std::uint8_t {
  unknown_stream,
  bad_allocation,
  expired_allocation,
  no_capacity,
  draining,
};
struct SubscribeRefused {
  StreamId stream;
  TrackId track;
  StripeMask stripes = 0;
  RefuseReason reason = RefuseReason::unknown_stream;
  Duration retry_after{0};
  friend bool operator==(const SubscribeRefused&, const SubscribeRefused&) = default;
};
struct Unsubscribe {
  StreamId stream;
  TrackId track;
  StripeMask stripes = 0;
  friend bool operator==(const Unsubscribe&, const Unsubscribe&) = default;
};
struct StripeHead {
  StripeIndex stripe;
  SliceSeq next_seq;
  std::uint32_t hops = 0;  ///< from the gateway to the sender; a loop makes it grow
  friend bool operator==(const StripeHead&, const StripeHead&) = default;
};
struct TrackHead {
  wire::StreamTag stream_tag;
  TrackId track;
  PublisherEpoch epoch;
  std::vector<StripeHead> stripes;
  friend bool operator==(const TrackHead&, const TrackHead&) = default;
};
struct Head {
  std::vector<TrackHead> tracks;
  friend bool operator==(const Head&, const Head&) = default;
};
struct SeqRange {
  SliceSeq first;
  SliceSeq last;           ///< inclusive
  std::uint32_t have = 0;  ///< frames of a single slice that the asker holds (a FrameMask)
  friend bool operator==(const SeqRange&, const SeqRange&) = default;
};
/// More do not fit in one Fetch, Dropped or Have.
inline constexpr std::size_t kFetchRangesMax = 64;
struct Fetch {
  StreamId stream;
  TrackId track;
  PublisherEpoch epoch;
  std::vector<SeqRange> ranges;
  bool rescue = false;  ///< peers do not have it in time: a gateway answers within its share
  friend bool operator==(const Fetch&, const Fetch&) = default;
};
/// A gateway has given all that it may for now of the object in which `first` lies.
struct FetchRefused {
  StreamId stream;
  TrackId track;
  PublisherEpoch epoch;
  SliceSeq first;
  Duration retry_after{0};
  bool origin = false;  ///< the asker may take that object from the origin
  friend bool operator==(const FetchRefused&, const FetchRefused&) = default;
};
/// Pressure: the sender's queue for this child overflowed and lost these slices.
struct Dropped {
  StreamId stream;
  TrackId track;
  PublisherEpoch epoch;
  std::vector<SeqRange> ranges;
  Duration queue_age{0};
  friend bool operator==(const Dropped&, const Dropped&) = default;
};
/// The sender has these from others: it need not be given them.
struct Have {
  StreamId stream;
  TrackId track;
  PublisherEpoch epoch;
  std::vector<SeqRange> ranges;
  friend bool operator==(const Have&, const Have&) = default;
};
struct PeerReceipt {
  wire::ReceiptBlob blob{};
  friend bool operator==(const PeerReceipt&, const PeerReceipt&) = default;
};
struct UpstreamGap {
  StreamId stream;
  TrackId track;
  StripeMask stripes = 0;
  friend bool operator==(const UpstreamGap&, const UpstreamGap&) = default;
};
enum class GoAwayReason : std::uint8_t { shutdown, paused, drain, unassigned, protocol };
struct GoAway {
  GoAwayReason reason = GoAwayReason::shutdown;
  Duration grace{0};
  friend bool operator==(const GoAway&, const GoAway&) = default;
};
struct Ping {
  std::uint64_t nonce = 0;
  friend bool operator==(const Ping&, const Ping&) = default;
};
struct Pong {
  std::uint64_t nonce = 0;
  friend bool operator==(const Pong&, const Pong&) = default;
};

using PeerMessage =
    std::variant<Hello, Subscribe, SubscribeOk, SubscribeRefused, Unsubscribe, Head, Fetch,
                 PeerReceipt, UpstreamGap, GoAway, Ping, Pong, FetchRefused, Dropped, Have>;

}  // namespace tayga::relay
