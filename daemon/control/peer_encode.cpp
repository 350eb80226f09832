#include "common/base/check.hpp"
#include "common/wire/frame.hpp"
#include "daemon/control/peer_codec.hpp"
#include "tayga/v1/peer.pb.h"

#include <boost/endian/conversion.hpp>

#include <algorithm>
#include <limits>
#include <string>

namespace tayga::control {

namespace {

template <class Id>
std::string to_field(const Id& id) {
  return std::string{as_text(id.view())};
}

template <std::size_t N>
std::string to_field(const std::array<std::byte, N>& bytes) {
  return std::string{as_text(bytes)};
}

std::uint32_t to_milliseconds(Duration duration) {
  const auto count = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  return static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(count, 0, std::numeric_limits<std::uint32_t>::max()));
}

template <class Proto, class Message>
void fill_scope(Proto& out, const Message& in) {
  out.set_stream_id(to_field(in.stream));
  out.set_track(in.track.value());
  out.set_stripe_mask(in.stripes);
}

void fill(v1::PeerMessage& out, const relay::Hello& in) {
  v1::PeerHello& hello = *out.mutable_hello();
  hello.set_protocol_version(in.protocol_version);
  hello.set_software(in.software);
  hello.set_network_id(to_field(in.network));
}

v1::Subscribe::Mode to_proto(relay::SubscribeMode mode) {
  switch (mode) {
    case relay::SubscribeMode::active:
      return v1::Subscribe::MODE_ACTIVE;
    case relay::SubscribeMode::standby:
      return v1::Subscribe::MODE_STANDBY;
  }
  return v1::Subscribe::MODE_UNSPECIFIED;
}

void fill(v1::PeerMessage& out, const relay::Subscribe& in) {
  v1::Subscribe& subscribe = *out.mutable_subscribe();
  fill_scope(subscribe, in);
  subscribe.set_mode(to_proto(in.mode));
  subscribe.set_publisher_epoch(in.epoch.value());
  for (const relay::StripeStart& start : in.starts) {
    v1::StripeStart& added = *subscribe.add_starts();
    added.set_stripe(start.stripe.value());
    added.set_next_seq(start.next_seq.value());
  }
  subscribe.set_allocation(to_field(in.allocation));
}

void fill(v1::PeerMessage& out, const relay::SubscribeOk& in) {
  fill_scope(*out.mutable_subscribe_ok(), in);
}

v1::SubscribeRefused::Reason to_proto(relay::RefuseReason reason) {
  switch (reason) {
    case relay::RefuseReason::unknown_stream:
      return v1::SubscribeRefused::REASON_UNKNOWN_STREAM;
    case relay::RefuseReason::bad_allocation:
      return v1::SubscribeRefused::REASON_BAD_ALLOCATION;
    case relay::RefuseReason::expired_allocation:
      return v1::SubscribeRefused::REASON_EXPIRED_ALLOCATION;
    case relay::RefuseReason::no_capacity:
      return v1::SubscribeRefused::REASON_NO_CAPACITY;
    case relay::RefuseReason::draining:
      return v1::SubscribeRefused::REASON_DRAINING;
  }
  return v1::SubscribeRefused::REASON_UNSPECIFIED;
}

void fill(v1::PeerMessage& out, const relay::SubscribeRefused& in) {
  v1::SubscribeRefused& refused = *out.mutable_subscribe_refused();
  fill_scope(refused, in);
  refused.set_reason(to_proto(in.reason));
  refused.set_retry_after_ms(to_milliseconds(in.retry_after));
}

void fill(v1::PeerMessage& out, const relay::Unsubscribe& in) {
  fill_scope(*out.mutable_unsubscribe(), in);
}

void fill(v1::PeerMessage& out, const relay::Head& in) {
  v1::Head& head = *out.mutable_head();
  std::size_t parts = 1;
  for (const relay::TrackHead& track : in.tracks) {
    parts += 1 + track.stripes.size();
    if (parts > kPeerMessagePartsMax) return;
    v1::TrackHead& added = *head.add_tracks();
    added.set_stream_tag(boost::endian::load_big_u64(as_uchar(track.stream_tag.view())));
    added.set_track(track.track.value());
    added.set_publisher_epoch(track.epoch.value());
    for (const relay::StripeHead& stripe : track.stripes) {
      v1::StripeHead& added_stripe = *added.add_stripes();
      added_stripe.set_stripe(stripe.stripe.value());
      added_stripe.set_next_seq(stripe.next_seq.value());
      added_stripe.set_hops(std::min(stripe.hops, kHopsMax));
    }
  }
}

/// A range too long for a message goes out in pieces, as many as there is room for.
template <class Proto>
void add_ranges(Proto& out, const std::vector<relay::SeqRange>& ranges) {
  for (const relay::SeqRange& range : ranges) {
    std::uint64_t first = range.first.value();
    for (bool more = true; more;) {
      if (out.ranges_size() == static_cast<int>(relay::kFetchRangesMax)) return;
      const std::uint64_t further = std::min(range.last.value() - first, kFetchRangeSlicesMax - 1);
      v1::SeqRange& added = *out.add_ranges();
      added.set_first(first);
      added.set_last(first + further);
      added.set_have(range.have);
      more = first + further < range.last.value();
      first += further + 1;
    }
  }
}

template <class Proto, class Message>
void fill_run(Proto& out, const Message& in) {
  out.set_stream_id(to_field(in.stream));
  out.set_track(in.track.value());
  out.set_publisher_epoch(in.epoch.value());
}

void fill(v1::PeerMessage& out, const relay::Fetch& in) {
  v1::Fetch& fetch = *out.mutable_fetch();
  fill_run(fetch, in);
  add_ranges(fetch, in.ranges);
  fetch.set_rescue(in.rescue);
}

void fill(v1::PeerMessage& out, const relay::FetchRefused& in) {
  v1::FetchRefused& refused = *out.mutable_fetch_refused();
  fill_run(refused, in);
  refused.set_first(in.first.value());
  refused.set_retry_after_ms(to_milliseconds(in.retry_after));
  refused.set_origin(in.origin);
}

void fill(v1::PeerMessage& out, const relay::Dropped& in) {
  v1::Dropped& dropped = *out.mutable_dropped();
  fill_run(dropped, in);
  add_ranges(dropped, in.ranges);
  dropped.set_queue_age_ms(to_milliseconds(in.queue_age));
}

void fill(v1::PeerMessage& out, const relay::Have& in) {
  v1::Have& have = *out.mutable_have();
  fill_run(have, in);
  add_ranges(have, in.ranges);
}

void fill(v1::PeerMessage& out, const relay::PeerReceipt& in) {
  out.mutable_receipt()->set_receipt(to_field(in.blob));
}

void fill(v1::PeerMessage& out, const relay::UpstreamGap& in) {
  fill_scope(*out.mutable_upstream_gap(), in);
}

v1::GoAway::Reason to_proto(relay::GoAwayReason reason) {
  switch (reason) {
    case relay::GoAwayReason::shutdown:
      return v1::GoAway::REASON_SHUTDOWN;
    case relay::GoAwayReason::paused:
      return v1::GoAway::REASON_PAUSED;
    case relay::GoAwayReason::drain:
      return v1::GoAway::REASON_DRAIN;
    case relay::GoAwayReason::unassigned:
      return v1::GoAway::REASON_UNASSIGNED;
    case relay::GoAwayReason::protocol:
      return v1::GoAway::REASON_PROTOCOL;
  }
  return v1::GoAway::REASON_UNSPECIFIED;
}

void fill(v1::PeerMessage& out, const relay::GoAway& in) {
  out.mutable_go_away()->set_reason(to_proto(in.reason));
  out.mutable_go_away()->set_grace_ms(to_milliseconds(in.grace));
}

void fill(v1::PeerMessage& out, const relay::Ping& in) {
  out.mutable_ping()->set_nonce(in.nonce);
}

void fill(v1::PeerMessage& out, const relay::Pong& in) {
  out.mutable_pong()->set_nonce(in.nonce);
}

}  // namespace

SharedBytes encode_control_frame(const relay::PeerMessage& message) {
  v1::PeerMessage out;
  std::visit([&out](const auto& body) { fill(out, body); }, message);
  std::string payload;
  TAYGA_CHECK(out.SerializeToString(&payload));
  TAYGA_CHECK(payload.size() <= wire::kPayloadSizeMax);
  return std::make_shared<const Bytes>(
      wire::serialize_frame(wire::FrameType::control, as_bytes(payload)));
}

}  // namespace tayga::control
