#include "daemon/control/control_mapping.hpp"

#include "common/base/protocol.hpp"
#include "tayga/v1/control.pb.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace tayga::control {

namespace {

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
  out.set_gateway_bytes(in.gateway_bytes);
  out.set_repairs(in.repairs);
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
  out.set_suspicions(snapshot.suspicions);
  out.set_false_suspicions(snapshot.false_suspicions);
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
  if (in.promoted) out.set_promoted_to(to_field(*in.promoted));
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

}  // namespace

v1::NodeMessage to_proto(const Outgoing& message) {
  v1::NodeMessage out;
  std::visit([&out](const auto& body) { fill(out, body); }, message);
  return out;
}

}  // namespace tayga::control
