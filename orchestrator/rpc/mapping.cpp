#include "orchestrator/rpc/mapping.hpp"

#include "common/base/protocol.hpp"
#include "orchestrator/rpc/clean_text.hpp"
#include "orchestrator/rpc/limits.hpp"

#include <arpa/inet.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/stubs/logging.h>
#include <netinet/in.h>
#include <tayga/v1/control.pb.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <ranges>
#include <string_view>

namespace tayga::orch {
namespace {

// A ReceiptBatch is field 6 of NodeMessage, length-delimited: (6 << 3) | 2. Only a message that
// says so may be larger than the others, and this is known before anything is parsed.
constexpr std::byte kReceiptsKey{0x32};

template <class Id>
Result<Id> to_id(const std::string& bytes) {
  const auto id = Id::from(as_bytes(bytes));
  if (!id) return RpcErrc::bad_id;
  return *id;
}

bool is_stream_name(std::string_view name) {
  const auto is_alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (name.empty() || name.size() > kStreamNameMax || !is_alnum(name.front())) return false;
  return std::all_of(name.begin(), name.end(),
                     [&](char c) { return is_alnum(c) || c == '.' || c == '_' || c == '-'; });
}

Result<TrackId> to_track(std::uint32_t track) {
  if (track > kTrackIdMax) return RpcErrc::out_of_range;
  return TrackId{track};
}

Result<StripeIndex> to_stripe(std::uint32_t stripe) {
  if (stripe >= kStripeCountMax) return RpcErrc::out_of_range;
  return StripeIndex{static_cast<std::uint8_t>(stripe)};
}

struct AddressKind {
  bool unspecified = false;
  bool multicast = false;
};

std::optional<AddressKind> classify(const std::string& address) {
  in_addr v4{};
  if (inet_pton(AF_INET, address.c_str(), &v4) == 1) {
    const std::uint32_t host = ntohl(v4.s_addr);
    return AddressKind{host == 0, host >= 0xE000'0000U};  // 224/4 and 240/4
  }
  in6_addr v6{};
  if (inet_pton(AF_INET6, address.c_str(), &v6) == 1) {
    return AddressKind{IN6_IS_ADDR_UNSPECIFIED(&v6), IN6_IS_ADDR_MULTICAST(&v6)};
  }
  return std::nullopt;
}

Result<Endpoint> to_endpoint(const v1::Endpoint& endpoint, const MessageOrigin& origin) {
  if (endpoint.port() == 0 || endpoint.port() > 65'535) return RpcErrc::bad_address;
  if (endpoint.address().size() > INET6_ADDRSTRLEN) return RpcErrc::bad_address;
  const auto kind = classify(endpoint.address());
  if (!kind || kind->multicast) return RpcErrc::bad_address;
  const auto port = static_cast<std::uint16_t>(endpoint.port());
  if (!kind->unspecified) return Endpoint{endpoint.address(), port};
  // "Wherever I am": a node that listens on all its addresses is reached where we see it.
  if (origin.observed_address.empty()) return RpcErrc::bad_address;
  return Endpoint{origin.observed_address, port};
}

Result<Roles> to_roles(const v1::NodeHello& hello) {
  Roles roles = 0;
  if (hello.roles_size() > kEndpointsMax) return RpcErrc::too_many;
  for (const int role : hello.roles()) {
    switch (role) {
      case v1::ROLE_GATEWAY:
        roles |= static_cast<Roles>(Role::gateway);
        break;
      case v1::ROLE_RELAY:
        roles |= static_cast<Roles>(Role::relay);
        break;
      case v1::ROLE_VIEWER:
        roles |= static_cast<Roles>(Role::viewer);
        break;
      default:
        break;  // a role of a newer version: this orchestrator gives it no work
    }
  }
  return roles;
}

Result<UpstreamLink> to_upstream(const v1::Upstream& upstream) {
  const auto track = to_track(upstream.track());
  if (!track) return track.error();
  const auto stripe = to_stripe(upstream.stripe());
  if (!stripe) return stripe.error();
  const auto parent = to_id<NodeId>(upstream.parent());
  if (!parent) return parent.error();
  return UpstreamLink{*track, *stripe, *parent};
}

Result<std::vector<TrackId>> to_tracks(
    const google::protobuf::RepeatedField<std::uint32_t>& tracks) {
  if (tracks.size() > kTracksMax) return RpcErrc::too_many;
  std::vector<TrackId> out;
  for (const std::uint32_t value : tracks) {
    const auto track = to_track(value);
    if (!track) return track.error();
    out.push_back(*track);
  }
  return out;
}

Result<World::Held> to_held(const v1::HeldStream& held) {
  const auto stream = to_id<StreamId>(held.stream_id());
  if (!stream) return stream.error();
  if (held.upstream_size() > kUpstreamPerStreamMax) return RpcErrc::too_many;
  World::Held out;
  out.stream = *stream;
  out.revision = held.revision();
  for (const v1::Upstream& upstream : held.upstream()) {
    const auto link = to_upstream(upstream);
    if (!link) return link.error();
    const bool is_standby = upstream.role() == v1::Upstream::ROLE_STANDBY;
    (is_standby ? out.standby : out.upstream).push_back(*link);
  }
  auto playing = to_tracks(held.playing_tracks());
  if (!playing) return playing.error();
  out.playing = std::move(*playing);
  return out;
}

Result<NodeEvent> to_hello(const v1::NodeHello& hello, const MessageOrigin& origin) {
  if (hello.protocol_version() != kControlProtocolVersion) return RpcErrc::unsupported_version;
  if (hello.endpoints_size() > kEndpointsMax) return RpcErrc::too_many;
  if (hello.held_size() > kHeldStreamsMax) return RpcErrc::too_many;
  const auto roles = to_roles(hello);
  if (!roles) return roles.error();
  Hello out;
  out.node.id = origin.node;
  out.node.name = clean_text(hello.name(), kNodeNameMax);
  out.node.software = clean_text(hello.software(), kSoftwareMax);
  out.node.roles = *roles;
  for (const v1::Endpoint& e : hello.endpoints()) {
    auto endpoint = to_endpoint(e, origin);
    if (!endpoint) return endpoint.error();
    out.node.endpoints.push_back(std::move(*endpoint));
  }
  out.node.declared_upload_bps = std::min(hello.upload_bps(), kRateMaxBps);
  out.node.children_max = std::min(hello.children_max(), kChildrenDeclaredMax);
  for (const v1::HeldStream& h : hello.held()) {
    auto held = to_held(h);
    if (!held) return held.error();
    out.held.push_back(std::move(*held));
  }
  return NodeEvent{std::move(out)};
}

/// The first `max` parts: telemetry beyond a limit is cut, for a busy node is no broken one.
template <class Part>
auto first(const google::protobuf::RepeatedPtrField<Part>& parts, int max) {
  return std::ranges::subrange(parts.begin(), parts.begin() + std::min(parts.size(), max));
}

Result<NodeStreamState> to_stream_state(const v1::StreamReport& report) {
  const auto stream = to_id<StreamId>(report.stream_id());
  if (!stream) return stream.error();
  NodeStreamState out;
  out.stream = *stream;
  for (const v1::StripeReport& s : first(report.stripes(), kStripeReportsMax)) {
    const auto track = to_track(s.track());
    if (!track) return track.error();
    const auto stripe = to_stripe(s.stripe());
    if (!stripe) return stripe.error();
    std::optional<NodeId> parent;
    if (!s.parent().empty()) {
      const auto id = to_id<NodeId>(s.parent());
      if (!id) return id.error();
      parent = *id;
    }
    out.stripes.push_back({*track, *stripe, SliceSeq{s.next_seq()}, s.lateness_ms(), parent});
  }
  out.objects_complete = report.objects_complete();
  out.objects_late = report.objects_late();
  out.objects_lost = report.objects_lost();
  out.played_bytes = report.played_bytes();
  out.origin_bytes = report.origin_bytes();
  out.gateway_bytes = report.gateway_bytes();
  out.repairs = report.repairs();
  return out;
}

Result<NodeEvent> to_telemetry(const v1::Telemetry& telemetry) {
  Telemetry out;
  out.seq = telemetry.seq();
  out.cpu_permille = telemetry.host().cpu_permille();
  out.rss_bytes = telemetry.host().rss_bytes();
  out.egress_bps = std::min(telemetry.host().egress_bps(), kRateMaxBps);
  out.ingress_bps = std::min(telemetry.host().ingress_bps(), kRateMaxBps);
  for (const v1::LinkReport& l : first(telemetry.links(), kLinkReportsMax)) {
    const auto peer = to_id<NodeId>(l.peer());
    if (!peer) return peer.error();
    LinkState link;
    link.peer = *peer;
    link.rtt_us = l.rtt_us();
    link.bytes_sent = l.bytes_sent();
    link.bytes_received = l.bytes_received();
    link.queue_ms = l.queue_ms();
    link.dropped_bytes = l.dropped_bytes();
    link.dialed = l.dialed();
    out.links.push_back(link);
  }
  for (const v1::StreamReport& s : first(telemetry.streams(), kStreamReportsMax)) {
    auto state = to_stream_state(s);
    if (!state) return state.error();
    out.streams.push_back(std::move(*state));
  }
  for (const v1::AppliedRevision& a : first(telemetry.applied(), kAppliedMax)) {
    const auto stream = to_id<StreamId>(a.stream_id());
    if (!stream) return stream.error();
    out.applied[*stream] = a.revision();
  }
  out.suspicions = telemetry.suspicions();
  out.false_suspicions = telemetry.false_suspicions();
  return NodeEvent{std::move(out)};
}

Result<NodeEvent> to_join(const v1::Join& join) {
  if (!is_stream_name(join.stream_name())) return RpcErrc::bad_name;
  auto tracks = to_tracks(join.tracks());
  if (!tracks) return tracks.error();
  return NodeEvent{JoinRequest{join.stream_name(), std::move(*tracks)}};
}

Result<NodeEvent> to_publish(const v1::Publish& publish) {
  if (!is_stream_name(publish.stream_name())) return RpcErrc::bad_name;
  if (publish.tracks_size() > kTracksMax) return RpcErrc::too_many;
  const auto stream = to_id<StreamId>(publish.stream_id());
  if (!stream) return stream.error();
  World::Publish out;
  out.stream_name = publish.stream_name();
  out.id = *stream;
  if (publish.claim_signature().size() != out.claim.size()) return RpcErrc::bad_id;
  std::memcpy(out.claim.data(), publish.claim_signature().data(), out.claim.size());
  out.publisher_epoch = publish.publisher_epoch();
  for (const v1::TrackInfo& t : publish.tracks()) {
    const auto track = to_track(t.track());
    if (!track) return track.error();
    if (t.playlist_path().size() > kPlaylistPathMax) return RpcErrc::bad_text;
    out.tracks.push_back({*track, clean_text(t.playlist_path(), kPlaylistPathMax),
                          std::min(t.bitrate_bps(), kRateMaxBps)});
  }
  return NodeEvent{std::move(out)};
}

Result<NodeEvent> to_receipts(v1::ReceiptBatch& receipts) {
  if (receipts.items_size() > kReceiptItemsMax) return RpcErrc::too_many;
  ReceiptBatch out;
  out.batch = receipts.batch();
  for (const std::string& item : receipts.items()) {
    // One too long to be an item is malformed whatever it holds: kept empty, it takes no room.
    const ByteView bytes = item.size() > wire::kSettlementItemSize ? ByteView{} : as_bytes(item);
    out.items.emplace_back(bytes.begin(), bytes.end());
  }
  return NodeEvent{std::move(out)};
}

Result<NodeEvent> to_link_failure(const v1::LinkFailure& failure) {
  const auto stream = to_id<StreamId>(failure.stream_id());
  if (!stream) return stream.error();
  const auto track = to_track(failure.track());
  if (!track) return track.error();
  const auto parent = to_id<NodeId>(failure.parent());
  if (!parent) return parent.error();
  World::LinkFailure out;
  out.stream = *stream;
  out.track = *track;
  out.stripe_mask = failure.stripe_mask();
  out.parent = *parent;
  out.revision = failure.revision();
  if (!failure.promoted_to().empty()) {
    const auto promoted = to_id<NodeId>(failure.promoted_to());
    if (!promoted) return promoted.error();
    out.promoted_to = *promoted;
  }
  switch (failure.reason()) {
    case v1::LinkFailure::REASON_CONNECT_FAILED:
      out.reason = LinkFailureReason::connect_failed;
      break;
    case v1::LinkFailure::REASON_CLOSED:
      out.reason = LinkFailureReason::closed;
      break;
    case v1::LinkFailure::REASON_RESET:
      out.reason = LinkFailureReason::reset;
      break;
    case v1::LinkFailure::REASON_SILENT:
      out.reason = LinkFailureReason::silent;
      break;
    case v1::LinkFailure::REASON_REFUSED:
      out.reason = LinkFailureReason::refused;
      break;
    case v1::LinkFailure::REASON_TAMPERED:
      out.reason = LinkFailureReason::tampered;
      break;
    case v1::LinkFailure::REASON_GO_AWAY:
      out.reason = LinkFailureReason::go_away;
      break;
    default:
      return RpcErrc::bad_enum;
  }
  return NodeEvent{out};
}

Result<NodeEvent> to_tamper_report(const v1::TamperEvidence& evidence) {
  const auto sender = to_id<NodeId>(evidence.sender());
  if (!sender) return sender.error();
  const ByteView header = as_bytes(evidence.slice_header());
  const ByteView chunk = as_bytes(evidence.chunk());
  return NodeEvent{TamperReport{*sender, Bytes(header.begin(), header.end()),
                                Bytes(chunk.begin(), chunk.end())}};
}

/// libprotobuf writes a line to stderr for each text that is not UTF-8: a node could fill the disk.
/// What is wrong reaches our log as the error that we return.
void silence_protobuf() {
  [[maybe_unused]] static const auto previous = google::protobuf::SetLogHandler(nullptr);
}

}  // namespace

Result<NodeEvent> parse_node_message(ByteView bytes, const MessageOrigin& origin) {
  const bool may_be_large = !bytes.empty() && bytes.front() == kReceiptsKey;
  if (bytes.size() > (may_be_large ? kReceiptMessageMax : kControlMessageMax)) {
    return RpcErrc::too_large;
  }
  silence_protobuf();
  google::protobuf::io::CodedInputStream input{as_uchar(bytes), static_cast<int>(bytes.size())};
  input.SetRecursionLimit(kProtobufDepthMax);
  v1::NodeMessage message;
  if (!message.ParseFromCodedStream(&input) || !input.ConsumedEntireMessage()) {
    return RpcErrc::not_protobuf;
  }
  switch (message.body_case()) {
    case v1::NodeMessage::kHello:
      return to_hello(message.hello(), origin);
    case v1::NodeMessage::kTelemetry:
      return to_telemetry(message.telemetry());
    case v1::NodeMessage::kJoin:
      return to_join(message.join());
    case v1::NodeMessage::kLeave:
      if (!is_stream_name(message.leave().stream_name())) return RpcErrc::bad_name;
      return NodeEvent{LeaveRequest{message.leave().stream_name()}};
    case v1::NodeMessage::kPublish:
      return to_publish(message.publish());
    case v1::NodeMessage::kReceipts:
      return to_receipts(*message.mutable_receipts());
    case v1::NodeMessage::kLinkFailure:
      return to_link_failure(message.link_failure());
    case v1::NodeMessage::kEvidence:
      return to_tamper_report(message.evidence());
    case v1::NodeMessage::kGoodbye:
      return NodeEvent{Goodbye{clean_text(message.goodbye().reason(), kReasonMax)}};
    case v1::NodeMessage::BODY_NOT_SET:
      return RpcErrc::unknown_message;
  }
  return RpcErrc::unknown_message;
}

}  // namespace tayga::orch
