#include "daemon/control/control_mapping.hpp"

#include "common/base/protocol.hpp"
#include "tayga/v1/control.pb.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace tayga::control {

namespace {

// ---- node -> orchestrator ----

template <class Id>
std::string to_field(const Id& id) {
  return std::string{as_text(id.view())};
}

std::string to_field(ByteView bytes) {
  return std::string{as_text(bytes)};
}

template <class Unit>
std::uint32_t to_count(Duration duration) {
  return static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(std::chrono::duration_cast<Unit>(duration).count(), 0,
                               std::numeric_limits<std::uint32_t>::max()));
}

std::uint32_t to_ms(Duration duration) {
  return to_count<std::chrono::milliseconds>(duration);
}

v1::Role to_proto(Role role) {
  switch (role) {
    case Role::gateway:
      return v1::ROLE_GATEWAY;
    case Role::relay:
      return v1::ROLE_RELAY;
    case Role::viewer:
      return v1::ROLE_VIEWER;
  }
  return v1::ROLE_UNSPECIFIED;
}

v1::Upstream::Role to_proto(relay::UpstreamRole role) {
  switch (role) {
    case relay::UpstreamRole::primary:
      return v1::Upstream::ROLE_PRIMARY;
    case relay::UpstreamRole::standby:
      return v1::Upstream::ROLE_STANDBY;
  }
  return v1::Upstream::ROLE_UNSPECIFIED;
}

v1::LinkFailure::Reason to_proto(relay::LossReason reason) {
  switch (reason) {
    case relay::LossReason::connect_failed:
      return v1::LinkFailure::REASON_CONNECT_FAILED;
    case relay::LossReason::closed:
      return v1::LinkFailure::REASON_CLOSED;
    case relay::LossReason::reset:
      return v1::LinkFailure::REASON_RESET;
    case relay::LossReason::silent:
      return v1::LinkFailure::REASON_SILENT;
    case relay::LossReason::refused:
      return v1::LinkFailure::REASON_REFUSED;
    case relay::LossReason::tampered:
      return v1::LinkFailure::REASON_TAMPERED;
    case relay::LossReason::go_away:
      return v1::LinkFailure::REASON_GO_AWAY;
  }
  return v1::LinkFailure::REASON_UNSPECIFIED;
}

void fill_held(v1::HeldStream& out, const HeldStream& in) {
  out.set_stream_id(to_field(in.stream));
  out.set_revision(in.revision);
  for (const relay::Upstream& link : in.upstream) {
    v1::Upstream& added = *out.add_upstream();
    added.set_track(link.track.value());
    added.set_stripe(link.stripe.value());
    added.set_parent(to_field(link.parent));
    added.set_role(to_proto(link.role));
  }
  for (const TrackId track : in.playing) out.add_playing_tracks(track.value());
}

void fill(v1::NodeMessage& message, const Hello& in) {
  v1::NodeHello& out = *message.mutable_hello();
  out.set_protocol_version(kControlProtocolVersion);
  out.set_software(in.profile.software.substr(0, kLabelSizeMax));
  for (const Role role : in.profile.roles) out.add_roles(to_proto(role));
  const std::size_t endpoints = std::min(in.profile.endpoints.size(), kEndpointsMax);
  for (std::size_t i = 0; i < endpoints; ++i) {
    v1::Endpoint& added = *out.add_endpoints();
    added.set_address(in.profile.endpoints[i].address.to_string());
    added.set_port(in.profile.endpoints[i].port);
  }
  out.set_upload_bps(in.profile.upload_bps);
  out.set_children_max(in.profile.children_max);
  out.set_name(in.profile.name.substr(0, kLabelSizeMax));
  const std::size_t held = std::min(in.held.size(), kHeldStreamsMax);
  for (std::size_t i = 0; i < held; ++i) fill_held(*out.add_held(), in.held[i]);
  while (out.held_size() > 0 && message.ByteSizeLong() > kControlMessageMax) {
    out.mutable_held()->RemoveLast();
  }
}

void fill(v1::NodeMessage& message, const JoinStream& in) {
  v1::Join& out = *message.mutable_join();
  out.set_stream_name(in.name);
  for (const TrackId track : in.tracks) out.add_tracks(track.value());
}

void fill(v1::NodeMessage& message, const LeaveStream& in) {
  message.mutable_leave()->set_stream_name(in.name);
}

void fill(v1::NodeMessage& message, const PublishAnnouncement& in) {
  v1::Publish& out = *message.mutable_publish();
  out.set_stream_name(in.stream_name);
  out.set_stream_id(to_field(in.stream));
  out.set_claim_signature(to_field(ByteView{in.claim}));
  out.set_publisher_epoch(in.epoch.value());
  for (const relay::TrackInfo& track : in.tracks) {
    v1::TrackInfo& added = *out.add_tracks();
    added.set_track(track.id.value());
    added.set_playlist_path(track.playlist_path);
    added.set_bitrate_bps(track.bitrate_bps);
  }
}

void fill_stream(v1::StreamReport& out, const StreamReport& in) {
  out.set_stream_id(to_field(in.stream));
  out.set_objects_complete(in.objects_complete);
  out.set_objects_late(in.objects_late);
  out.set_objects_lost(in.objects_lost);
  out.set_played_bytes(in.played_bytes);
  out.set_origin_bytes(in.origin_bytes);
  for (const StripeReport& stripe : in.stripes) {
    v1::StripeReport& added = *out.add_stripes();
    added.set_track(stripe.track.value());
    added.set_stripe(stripe.stripe.value());
    added.set_next_seq(stripe.next_seq.value());
    added.set_lateness_ms(to_ms(stripe.lateness));
    if (stripe.parent) added.set_parent(to_field(*stripe.parent));
  }
}

void fill(v1::NodeMessage& message, const Telemetry& in) {
  v1::Telemetry& out = *message.mutable_telemetry();
  const TelemetrySnapshot& snapshot = in.snapshot;
  out.set_seq(in.seq);
  out.set_sent_us(static_cast<std::uint64_t>(in.sent_at.time_since_epoch().count()));
  v1::HostLoad& host = *out.mutable_host();
  host.set_cpu_permille(snapshot.host.cpu_permille);
  host.set_rss_bytes(snapshot.host.rss_bytes);
  host.set_egress_bps(snapshot.host.egress_bps);
  host.set_ingress_bps(snapshot.host.ingress_bps);
  const std::size_t links = std::min(snapshot.links.size(), kLinkReportsMax);
  for (std::size_t i = 0; i < links; ++i) {
    const LinkReport& link = snapshot.links[i];
    v1::LinkReport& added = *out.add_links();
    added.set_peer(to_field(link.peer));
    added.set_rtt_us(to_count<std::chrono::microseconds>(link.rtt));
    added.set_bytes_sent(link.bytes_sent);
    added.set_bytes_received(link.bytes_received);
    added.set_queue_ms(to_ms(link.queue_age));
    added.set_dropped_bytes(link.dropped_bytes);
    added.set_dialed(link.dialed);
  }
  const std::size_t applied = std::min(snapshot.applied.size(), kAppliedMax);
  for (std::size_t i = 0; i < applied; ++i) {
    v1::AppliedRevision& added = *out.add_applied();
    added.set_stream_id(to_field(snapshot.applied[i].stream));
    added.set_revision(snapshot.applied[i].revision);
  }
  const std::size_t streams = std::min(snapshot.streams.size(), kStreamReportsMax);
  for (std::size_t i = 0; i < streams; ++i) fill_stream(*out.add_streams(), snapshot.streams[i]);
  for (int i = out.streams_size(); i-- > 0 && message.ByteSizeLong() > kControlMessageMax;) {
    out.mutable_streams(i)->clear_stripes();
  }
}

void fill(v1::NodeMessage& message, const relay::ReceiptBook::Batch& in) {
  v1::ReceiptBatch& out = *message.mutable_receipts();
  out.set_batch(in.id);
  for (const wire::SettlementItem& item : in.items) out.add_items(to_field(ByteView{item}));
}

void fill(v1::NodeMessage& message, const relay::Relay::ParentLost& in) {
  v1::LinkFailure& out = *message.mutable_link_failure();
  out.set_stream_id(to_field(in.stream));
  out.set_track(in.track.value());
  out.set_stripe_mask(in.stripes);
  out.set_parent(to_field(in.parent));
  out.set_reason(to_proto(in.reason));
  out.set_revision(in.revision);
}

void fill(v1::NodeMessage& message, const relay::Relay::Tampered& in) {
  v1::TamperEvidence& out = *message.mutable_evidence();
  out.set_sender(to_field(in.sender));
  out.set_slice_header(to_field(ByteView{in.slice_header}));
  out.set_chunk(to_field(ByteView{in.chunk}));
}

void fill(v1::NodeMessage& message, const Goodbye& in) {
  message.mutable_goodbye()->set_reason(in.reason);
}

// ---- orchestrator -> node ----

constexpr Duration kTelemetryIntervalMin = 100ms;
constexpr Duration kTelemetryIntervalMax = 60s;
constexpr Duration kSubmitIntervalMin = 1s;
constexpr Duration kSubmitIntervalMax = 1h;

template <class Id>
bool copy_id(const std::string& in, Id& out) {
  const auto id = Id::from(as_bytes(in));
  if (id) out = *id;
  return id.has_value();
}

template <std::size_t N>
bool copy_exact(const std::string& in, std::array<std::byte, N>& out) {
  if (in.size() != N) return false;
  const ByteView bytes = as_bytes(in);
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return true;
}

std::optional<boost::asio::ip::address> to_address(const std::string& bytes) {
  using boost::asio::ip::address_v4;
  using boost::asio::ip::address_v6;
  const auto* from = reinterpret_cast<const unsigned char*>(bytes.data());
  if (bytes.size() == 4) {
    address_v4::bytes_type v4{};
    std::copy_n(from, v4.size(), v4.begin());
    return address_v4{v4};
  }
  if (bytes.size() == 16) {
    address_v6::bytes_type v6{};
    std::copy_n(from, v6.size(), v6.begin());
    return address_v6{v6};
  }
  return std::nullopt;
}

Result<Incoming> to_message(const v1::Welcome& in) {
  WelcomeMessage out;
  if (!copy_id(in.network_id(), out.network)) return ControlErrc::bad_size;
  // Beyond the range of our clock a time means nothing.
  if (in.time_ms() > std::numeric_limits<std::int64_t>::max() / 2000) return ControlErrc::bad_value;
  out.time = WallTime{std::chrono::milliseconds{in.time_ms()}};
  out.incarnation = in.incarnation();
  out.telemetry_interval =
      std::clamp<Duration>(std::chrono::milliseconds{in.telemetry_interval_ms()},
                           kTelemetryIntervalMin, kTelemetryIntervalMax);
  out.receipt_submit_interval =
      std::clamp<Duration>(std::chrono::milliseconds{in.receipt_submit_interval_ms()},
                           kSubmitIntervalMin, kSubmitIntervalMax);
  for (const std::string& key : in.online_keys()) {
    const ByteView bytes = as_bytes(key);
    out.online_keys.emplace_back(bytes.begin(), bytes.end());
  }
  out.observed_address = to_address(in.observed_address());
  return Incoming{std::move(out)};
}

Result<relay::StreamDescriptor> to_descriptor(const v1::StreamDescriptor& in) {
  relay::StreamDescriptor out;
  if (!copy_id(in.stream_id(), out.id)) return ControlErrc::bad_size;
  if (in.stripe_count() == 0 || in.stripe_count() > kStripeCountMax) return ControlErrc::bad_value;
  out.name = in.name();
  out.stripe_count = in.stripe_count();
  for (const std::string& handle : in.handles()) {
    if (!copy_id(handle, out.handles.emplace_back())) return ControlErrc::bad_size;
  }
  out.playout_window = std::chrono::milliseconds{in.window_ms()};
  for (const v1::TrackInfo& track : in.tracks()) {
    out.tracks.push_back({TrackId{track.track()}, track.playlist_path(), track.bitrate_bps()});
  }
  out.origin_url = in.origin_url();
  return out;
}

Result<void> add_links(const v1::Assignment& in, relay::Assignment& out) {
  for (const v1::Upstream& link : in.upstream()) {
    relay::Upstream added;
    if (!copy_id(link.parent(), added.parent)) return ControlErrc::bad_size;
    if (link.stripe() >= out.stream.stripe_count) return ControlErrc::bad_value;
    added.track = TrackId{link.track()};
    added.stripe = StripeIndex{static_cast<std::uint8_t>(link.stripe())};
    switch (link.role()) {
      case v1::Upstream::ROLE_PRIMARY:
        added.role = relay::UpstreamRole::primary;
        break;
      case v1::Upstream::ROLE_STANDBY:
        added.role = relay::UpstreamRole::standby;
        break;
      default:
        continue;  // a role of a newer version: this node has no use for such a parent
    }
    out.upstream.push_back(added);
  }
  for (const v1::Downstream& link : in.downstream()) {
    relay::Downstream added;
    if (!copy_id(link.child(), added.child)) return ControlErrc::bad_size;
    if (link.stripe() >= out.stream.stripe_count) return ControlErrc::bad_value;
    added.track = TrackId{link.track()};
    added.stripe = StripeIndex{static_cast<std::uint8_t>(link.stripe())};
    out.downstream.push_back(added);
  }
  for (const std::string& blob : in.allocations()) {
    if (!copy_exact(blob, out.allocations.emplace_back())) return ControlErrc::bad_size;
  }
  return {};
}

/// An address that is no number, or a port that is none, is left out: the others may still do.
PeerAddress to_peer(const v1::PeerAddress& in, const NodeId& node) {
  PeerAddress out{node, {}};
  for (const v1::Endpoint& endpoint : in.endpoints()) {
    if (out.endpoints.size() == kEndpointsMax) break;
    boost::system::error_code ec;
    const auto address = boost::asio::ip::make_address(endpoint.address(), ec);
    if (ec || endpoint.port() == 0 || endpoint.port() > 65'535) continue;
    out.endpoints.push_back({address, static_cast<std::uint16_t>(endpoint.port())});
  }
  return out;
}

Result<Incoming> to_message(const v1::Assignment& in) {
  AssignmentMessage out;
  out.assignment.incarnation = in.incarnation();
  out.assignment.revision = in.revision();
  out.assignment.carry = in.carry();
  auto stream = to_descriptor(in.stream());
  if (!stream) return stream.error();
  out.assignment.stream = std::move(*stream);
  if (const auto added = add_links(in, out.assignment); !added) return added.error();
  for (const v1::PeerAddress& peer : in.peers()) {
    NodeId node;
    if (!copy_id(peer.node(), node)) return ControlErrc::bad_size;
    out.peers.push_back(to_peer(peer, node));
  }
  return Incoming{std::move(out)};
}

Result<Incoming> to_message(const v1::PublishOffer& in) {
  PublishOffer out;
  if (in.stripe_count() == 0 || in.stripe_count() > kStripeCountMax) return ControlErrc::bad_value;
  out.stream_name = in.stream_name();
  out.stripe_count = in.stripe_count();
  if (!in.ingest_key_sha256().empty()) {
    if (!copy_exact(in.ingest_key_sha256(), out.ingest_key_hash.emplace())) {
      return ControlErrc::bad_size;
    }
  }
  out.origin_url = in.origin_url();
  out.window = std::chrono::milliseconds{in.window_ms()};
  return Incoming{std::move(out)};
}

/// What a sender does about an answer. A key that the orchestrator does not know may be one that it
/// has not read back yet; if it is lost for good, the allocation expires and is refused then.
relay::ReceiptBook::Answer::Verdict to_verdict(v1::ReceiptAnswer::Status status) {
  using Verdict = relay::ReceiptBook::Answer::Verdict;
  switch (status) {
    case v1::ReceiptAnswer::STATUS_ACCEPTED:
    case v1::ReceiptAnswer::STATUS_STALE:
      return Verdict::durable;
    case v1::ReceiptAnswer::STATUS_MALFORMED:
    case v1::ReceiptAnswer::STATUS_BAD_SIGNATURE:
    case v1::ReceiptAnswer::STATUS_WRONG_NETWORK:
    case v1::ReceiptAnswer::STATUS_WRONG_SENDER:
    case v1::ReceiptAnswer::STATUS_EXPIRED:
    case v1::ReceiptAnswer::STATUS_OVER_LIMIT:
      return Verdict::refused;
    default:
      return Verdict::retry;
  }
}

Result<Incoming> to_message(const v1::ReceiptAnswer& in) {
  ReceiptAnswers out{in.batch(), {}};
  for (const v1::ReceiptAnswer::Item& item : in.items()) {
    relay::ReceiptBook::Answer answer;
    if (!copy_id(item.alloc_id(), answer.allocation)) return ControlErrc::bad_size;
    answer.verdict = to_verdict(item.status());
    answer.settled_bytes = item.settled_bytes();
    out.items.push_back(answer);
  }
  return Incoming{std::move(out)};
}

Result<Incoming> to_message(const v1::JoinRefused& in) {
  JoinRefused out{in.stream_name(), JoinRefusal::no_capacity, in.message()};
  switch (in.reason()) {
    case v1::JoinRefused::REASON_NO_SUCH_STREAM:
      out.reason = JoinRefusal::no_such_stream;
      break;
    case v1::JoinRefused::REASON_NOT_LIVE:
      out.reason = JoinRefusal::not_live;
      break;
    case v1::JoinRefused::REASON_NOT_ALLOWED:
      out.reason = JoinRefusal::not_allowed;
      break;
    default:
      break;  // no_capacity, and what a newer version may say: try again later
  }
  return Incoming{std::move(out)};
}

}  // namespace

v1::NodeMessage to_proto(const Outgoing& message) {
  v1::NodeMessage out;
  std::visit([&out](const auto& body) { fill(out, body); }, message);
  return out;
}

Result<Incoming> to_incoming(const v1::OrchestratorMessage& message) {
  switch (message.body_case()) {
    case v1::OrchestratorMessage::kWelcome:
      return to_message(message.welcome());
    case v1::OrchestratorMessage::kAssignment:
      return to_message(message.assignment());
    case v1::OrchestratorMessage::kPublishOffer:
      return to_message(message.publish_offer());
    case v1::OrchestratorMessage::kReceiptAnswer:
      return to_message(message.receipt_answer());
    case v1::OrchestratorMessage::kJoinRefused:
      return to_message(message.join_refused());
    case v1::OrchestratorMessage::kDrain:
      return Incoming{Drain{std::chrono::milliseconds{message.drain().grace_ms()}}};
    case v1::OrchestratorMessage::kBan:
      return Incoming{Ban{message.ban().reason()}};
    case v1::OrchestratorMessage::kPublishWithdrawn:
      return Incoming{PublishWithdrawn{message.publish_withdrawn().stream_name()}};
    case v1::OrchestratorMessage::BODY_NOT_SET:
      break;
  }
  return ControlErrc::unknown_message;
}

}  // namespace tayga::control
