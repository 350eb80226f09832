#include "common/wire/frame.hpp"
#include "daemon/control/peer_codec.hpp"
#include "tayga/v1/peer.pb.h"

#include <boost/endian/conversion.hpp>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace tayga::control {

namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

constexpr int kRecursionLimit = 16;

template <std::size_t N>
bool copy_exact(const std::string& in, std::array<std::byte, N>& out) {
  if (in.size() != N) return false;
  const ByteView bytes = as_bytes(in);
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return true;
}

std::optional<StripeIndex> to_stripe(std::uint32_t value) {
  if (value >= kStripeCountMax) return std::nullopt;
  return StripeIndex{static_cast<std::uint8_t>(value)};
}

enum class Mask : std::uint8_t { some, any };

/// Stream, track and a mask, which names at least one stripe unless `mask` says that none is an
/// answer too: the head of half of all messages.
template <class Message, class Proto>
Result<Message> to_scope(const Proto& in, Mask mask = Mask::some) {
  Message out;
  if (!copy_exact(in.stream_id(), out.stream.bytes)) return ControlErrc::bad_size;
  if (mask == Mask::some && in.stripe_mask() == 0) return ControlErrc::bad_value;
  out.track = TrackId{in.track()};
  out.stripes = in.stripe_mask();
  return out;
}

/// `software` ends up in logs, so it must be plain text.
bool is_printable(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

Result<relay::PeerMessage> to_message(const v1::PeerHello& in) {
  relay::Hello out;
  if (in.software().size() > kSoftwareSizeMax) return ControlErrc::bad_size;
  if (!is_printable(in.software()) || in.protocol_version() == 0) return ControlErrc::bad_value;
  if (!copy_exact(in.network_id(), out.network.bytes)) return ControlErrc::bad_size;
  out.protocol_version = in.protocol_version();
  out.software = in.software();
  return relay::PeerMessage{std::move(out)};
}

Result<relay::PeerMessage> to_message(const v1::Subscribe& in) {
  Result<relay::Subscribe> out = to_scope<relay::Subscribe>(in);
  if (!out) return out.error();
  switch (in.mode()) {
    case v1::Subscribe::MODE_ACTIVE:
      out->mode = relay::SubscribeMode::active;
      break;
    case v1::Subscribe::MODE_STANDBY:
      out->mode = relay::SubscribeMode::standby;
      break;
    default:
      return ControlErrc::bad_value;  // an open enum: any number can arrive
  }
  out->epoch = PublisherEpoch{in.publisher_epoch()};
  if (in.starts_size() > static_cast<int>(kStripeCountMax)) return ControlErrc::bad_size;
  for (const v1::StripeStart& start : in.starts()) {
    const auto stripe = to_stripe(start.stripe());
    if (!stripe) return ControlErrc::bad_value;
    out->starts.push_back({*stripe, SliceSeq{start.next_seq()}});
  }
  if (!copy_exact(in.allocation(), out->allocation)) return ControlErrc::bad_size;
  return relay::PeerMessage{std::move(*out)};
}

Result<relay::PeerMessage> to_message(const v1::SubscribeOk& in) {
  const auto out = to_scope<relay::SubscribeOk>(in);
  if (!out) return out.error();
  return relay::PeerMessage{*out};
}

relay::RefuseReason to_reason(v1::SubscribeRefused::Reason reason) {
  switch (reason) {
    case v1::SubscribeRefused::REASON_UNKNOWN_STREAM:
      return relay::RefuseReason::unknown_stream;
    case v1::SubscribeRefused::REASON_BAD_ALLOCATION:
      return relay::RefuseReason::bad_allocation;
    case v1::SubscribeRefused::REASON_EXPIRED_ALLOCATION:
      return relay::RefuseReason::expired_allocation;
    case v1::SubscribeRefused::REASON_DRAINING:
      return relay::RefuseReason::draining;
    default:
      return relay::RefuseReason::no_capacity;  // also what a newer version may say
  }
}

Result<relay::PeerMessage> to_message(const v1::SubscribeRefused& in) {
  auto out = to_scope<relay::SubscribeRefused>(in);
  if (!out) return out.error();
  out->reason = to_reason(in.reason());
  out->retry_after = std::chrono::milliseconds{in.retry_after_ms()};
  return relay::PeerMessage{*out};
}

Result<relay::PeerMessage> to_message(const v1::Unsubscribe& in) {
  const auto out = to_scope<relay::Unsubscribe>(in);
  if (!out) return out.error();
  return relay::PeerMessage{*out};
}

Result<relay::PeerMessage> to_message(const v1::Head& in) {
  relay::Head out;
  for (const v1::TrackHead& track : in.tracks()) {
    relay::TrackHead added;
    boost::endian::store_big_u64(reinterpret_cast<unsigned char*>(added.stream_tag.bytes.data()),
                                 track.stream_tag());
    added.track = TrackId{track.track()};
    added.epoch = PublisherEpoch{track.publisher_epoch()};
    if (track.stripes_size() > static_cast<int>(kStripeCountMax)) return ControlErrc::bad_size;
    for (const v1::StripeHead& head : track.stripes()) {
      const auto stripe = to_stripe(head.stripe());
      if (!stripe) return ControlErrc::bad_value;
      added.stripes.push_back(
          {*stripe, SliceSeq{head.next_seq()}, std::min(head.hops(), kHopsMax)});
    }
    out.tracks.push_back(std::move(added));
  }
  return relay::PeerMessage{std::move(out)};
}

/// Stream, track and the publisher's run: what names slices.
template <class Message, class Proto>
Result<Message> to_run(const Proto& in) {
  Message out;
  if (!copy_exact(in.stream_id(), out.stream.bytes)) return ControlErrc::bad_size;
  out.track = TrackId{in.track()};
  out.epoch = PublisherEpoch{in.publisher_epoch()};
  return out;
}

template <class Proto>
Result<void> add_ranges(const Proto& in, std::vector<relay::SeqRange>& out) {
  if (in.ranges_size() > static_cast<int>(relay::kFetchRangesMax)) return ControlErrc::bad_size;
  for (const v1::SeqRange& range : in.ranges()) {
    if (range.last() < range.first()) return ControlErrc::bad_value;
    if (range.last() - range.first() >= kFetchRangeSlicesMax) return ControlErrc::bad_value;
    // Frames of which slice? Of several it means nothing, and all of them are sent.
    const std::uint32_t have = range.first() == range.last() ? range.have() : 0;
    out.push_back({SliceSeq{range.first()}, SliceSeq{range.last()}, have});
  }
  return {};
}

Result<relay::PeerMessage> to_message(const v1::Fetch& in) {
  auto out = to_run<relay::Fetch>(in);
  if (!out) return out.error();
  if (const auto added = add_ranges(in, out->ranges); !added) return added.error();
  out->rescue = in.rescue();
  return relay::PeerMessage{std::move(*out)};
}

Result<relay::PeerMessage> to_message(const v1::FetchRefused& in) {
  auto out = to_run<relay::FetchRefused>(in);
  if (!out) return out.error();
  out->first = SliceSeq{in.first()};
  out->retry_after = std::chrono::milliseconds{in.retry_after_ms()};
  out->origin = in.origin();
  return relay::PeerMessage{*out};
}

Result<relay::PeerMessage> to_message(const v1::Dropped& in) {
  auto out = to_run<relay::Dropped>(in);
  if (!out) return out.error();
  if (const auto added = add_ranges(in, out->ranges); !added) return added.error();
  out->queue_age = std::chrono::milliseconds{in.queue_age_ms()};
  return relay::PeerMessage{std::move(*out)};
}

Result<relay::PeerMessage> to_message(const v1::Have& in) {
  auto out = to_run<relay::Have>(in);
  if (!out) return out.error();
  if (const auto added = add_ranges(in, out->ranges); !added) return added.error();
  return relay::PeerMessage{std::move(*out)};
}

Result<relay::PeerMessage> to_message(const v1::PeerReceipt& in) {
  relay::PeerReceipt out;
  if (!copy_exact(in.receipt(), out.blob)) return ControlErrc::bad_size;
  return relay::PeerMessage{out};
}

Result<relay::PeerMessage> to_message(const v1::UpstreamGap& in) {
  const auto out = to_scope<relay::UpstreamGap>(in, Mask::any);  // none: all gaps are over
  if (!out) return out.error();
  return relay::PeerMessage{*out};
}

relay::GoAwayReason to_reason(v1::GoAway::Reason reason) {
  switch (reason) {
    case v1::GoAway::REASON_PAUSED:
      return relay::GoAwayReason::paused;
    case v1::GoAway::REASON_DRAIN:
      return relay::GoAwayReason::drain;
    case v1::GoAway::REASON_UNASSIGNED:
      return relay::GoAwayReason::unassigned;
    case v1::GoAway::REASON_PROTOCOL:
      return relay::GoAwayReason::protocol;
    default:
      return relay::GoAwayReason::shutdown;  // also what a newer version may say
  }
}

Result<relay::PeerMessage> to_message(const v1::GoAway& in) {
  return relay::PeerMessage{
      relay::GoAway{to_reason(in.reason()), std::chrono::milliseconds{in.grace_ms()}}};
}

// ---- bounds before parsing ----

/// Levels of submessages below PeerMessage: body, its elements, and a track head's stripes.
constexpr int kLevels = 3;

/// Counts length-delimited fields where the schema may hold submessages, without allocating. A blob
/// that is looked into by mistake is skipped again, so a wrong guess costs time in its size only.
bool count_parts(ByteView message, int levels, std::size_t& parts) {
  CodedInputStream in{reinterpret_cast<const std::uint8_t*>(message.data()),
                      static_cast<int>(message.size())};
  while (const std::uint32_t tag = in.ReadTag()) {
    if (WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      if (!WireFormatLite::SkipField(&in, tag)) return true;  // malformed here: the parser says so
      continue;
    }
    std::uint32_t size = 0;
    if (!in.ReadVarint32(&size)) return true;
    const auto begin = static_cast<std::size_t>(in.CurrentPosition());
    if (size > message.size() - begin) return true;
    parts += 1;
    if (parts > kPeerMessagePartsMax) return false;
    if (levels > 1 && !count_parts(message.subspan(begin, size), levels - 1, parts)) return false;
    if (!in.Skip(static_cast<int>(size))) return true;
  }
  return true;
}

/// libprotobuf writes a line to stderr for each text that is not UTF-8: a peer could fill the disk.
/// What is wrong reaches our log as the error that we return.
void silence_protobuf() {
  [[maybe_unused]] static const auto previous = google::protobuf::SetLogHandler(nullptr);
}

Result<void> parse(ByteView payload, v1::PeerMessage& message) {
  if (payload.size() > wire::kPayloadSizeMax) return ControlErrc::message_too_large;
  std::size_t parts = 0;
  if (!count_parts(payload, kLevels, parts)) return ControlErrc::too_many_parts;
  CodedInputStream in{reinterpret_cast<const std::uint8_t*>(payload.data()),
                      static_cast<int>(payload.size())};
  in.SetRecursionLimit(kRecursionLimit);
  if (!message.ParseFromCodedStream(&in) || !in.ConsumedEntireMessage()) {
    return ControlErrc::malformed;
  }
  return {};
}

}  // namespace

Result<relay::PeerMessage> decode_control(ByteView payload) {
  silence_protobuf();
  v1::PeerMessage message;
  if (const auto parsed = parse(payload, message); !parsed) return parsed.error();
  switch (message.body_case()) {
    case v1::PeerMessage::kHello:
      return to_message(message.hello());
    case v1::PeerMessage::kSubscribe:
      return to_message(message.subscribe());
    case v1::PeerMessage::kSubscribeOk:
      return to_message(message.subscribe_ok());
    case v1::PeerMessage::kSubscribeRefused:
      return to_message(message.subscribe_refused());
    case v1::PeerMessage::kUnsubscribe:
      return to_message(message.unsubscribe());
    case v1::PeerMessage::kHead:
      return to_message(message.head());
    case v1::PeerMessage::kFetch:
      return to_message(message.fetch());
    case v1::PeerMessage::kReceipt:
      return to_message(message.receipt());
    case v1::PeerMessage::kUpstreamGap:
      return to_message(message.upstream_gap());
    case v1::PeerMessage::kGoAway:
      return to_message(message.go_away());
    case v1::PeerMessage::kPing:
      return relay::PeerMessage{relay::Ping{message.ping().nonce()}};
    case v1::PeerMessage::kPong:
      return relay::PeerMessage{relay::Pong{message.pong().nonce()}};
    case v1::PeerMessage::kFetchRefused:
      return to_message(message.fetch_refused());
    case v1::PeerMessage::kDropped:
      return to_message(message.dropped());
    case v1::PeerMessage::kHave:
      return to_message(message.have());
    case v1::PeerMessage::BODY_NOT_SET:
      break;
  }
  return ControlErrc::unknown_message;
}

}  // namespace tayga::control
