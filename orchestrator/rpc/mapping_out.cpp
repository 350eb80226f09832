#include "orchestrator/rpc/mapping.hpp"

#include <tayga/v1/control.pb.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <string>
#include <variant>

// The second half of mapping.hpp: what we say to nodes.
namespace tayga::orch {
namespace {

std::string to_text(ByteView bytes) {
  return std::string{as_text(bytes)};
}

std::uint32_t to_ms(Duration duration) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  return static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(ms, 0, std::numeric_limits<std::uint32_t>::max()));
}

void fill(const Welcome& from, v1::OrchestratorMessage& message) {
  v1::Welcome& to = *message.mutable_welcome();
  to.set_network_id(to_text(from.network.view()));
  to.set_time_ms(from.time_ms);
  to.set_incarnation(from.incarnation);
  to.set_telemetry_interval_ms(to_ms(from.telemetry_interval));
  to.set_receipt_submit_interval_ms(to_ms(from.receipt_submit_interval));
  for (const Bytes& key : from.online_keys) to.add_online_keys(to_text(key));
  to.set_observed_address(to_text(from.observed_address));
}

void fill_descriptor(const IssuedAssignment& from, v1::StreamDescriptor& to) {
  to.set_stream_id(to_text(from.target.stream.view()));
  to.set_name(from.stream_name);
  to.set_stripe_count(from.stripe_count);
  for (const StreamHandle& handle : from.handles) to.add_handles(to_text(handle.view()));
  to.set_window_ms(to_ms(from.window));
  for (const TrackRecord& track : from.tracks) {
    v1::TrackInfo& info = *to.add_tracks();
    info.set_track(track.id.value());
    info.set_playlist_path(track.playlist_path);
    info.set_bitrate_bps(track.bitrate_bps);
  }
  to.set_origin_url(from.origin_url);
}

void add_upstream(const std::vector<UpstreamLink>& links, v1::Upstream::Role role,
                  v1::Assignment& to) {
  for (const UpstreamLink& link : links) {
    v1::Upstream& upstream = *to.add_upstream();
    upstream.set_track(link.track.value());
    upstream.set_stripe(link.stripe.value());
    upstream.set_parent(to_text(link.parent.view()));
    upstream.set_role(role);
  }
}

void fill(const IssuedAssignment& from, v1::OrchestratorMessage& message) {
  v1::Assignment& to = *message.mutable_assignment();
  to.set_incarnation(from.incarnation);
  to.set_revision(from.target.revision);
  to.set_carry(from.target.carry);
  fill_descriptor(from, *to.mutable_stream());
  add_upstream(from.target.upstream, v1::Upstream::ROLE_PRIMARY, to);
  add_upstream(from.target.standby, v1::Upstream::ROLE_STANDBY, to);
  for (const DownstreamLink& link : from.target.downstream) {
    v1::Downstream& downstream = *to.add_downstream();
    downstream.set_track(link.track.value());
    downstream.set_stripe(link.stripe.value());
    downstream.set_child(to_text(link.child.view()));
  }
  for (const auto& [node, endpoints] : from.peers) {
    v1::PeerAddress& peer = *to.add_peers();
    peer.set_node(to_text(node.view()));
    for (const Endpoint& endpoint : endpoints) {
      v1::Endpoint& e = *peer.add_endpoints();
      e.set_address(endpoint.address);
      e.set_port(endpoint.port);
    }
  }
  for (const wire::AllocationBlob& blob : from.allocations) to.add_allocations(to_text(blob));
  for (const NodeId& gateway : from.target.rescue.gateways)
    to.add_gateways(to_text(gateway.view()));
  to.set_rescue_permille(from.target.rescue.share_permille);
  to.set_audience(from.target.rescue.audience);
}

void fill(const PublishOffer& from, v1::OrchestratorMessage& message) {
  v1::PublishOffer& to = *message.mutable_publish_offer();
  to.set_stream_name(from.stream_name);
  to.set_stripe_count(from.stripe_count);
  const bool accepts_push = from.ingest_key_hash != crypto::Sha256Digest{};
  if (accepts_push) to.set_ingest_key_sha256(to_text(from.ingest_key_hash));
  to.set_origin_url(from.origin_url);
  to.set_window_ms(to_ms(from.window));
}

void fill(const PublishWithdrawal& from, v1::OrchestratorMessage& message) {
  message.mutable_publish_withdrawn()->set_stream_name(from.stream_name);
}

v1::ReceiptAnswer::Status to_status(SettleStatus status) {
  switch (status) {
    case SettleStatus::accepted:
      return v1::ReceiptAnswer::STATUS_ACCEPTED;
    case SettleStatus::stale:
      return v1::ReceiptAnswer::STATUS_STALE;
    case SettleStatus::malformed:
      return v1::ReceiptAnswer::STATUS_MALFORMED;
    case SettleStatus::bad_signature:
      return v1::ReceiptAnswer::STATUS_BAD_SIGNATURE;
    case SettleStatus::wrong_network:
      return v1::ReceiptAnswer::STATUS_WRONG_NETWORK;
    case SettleStatus::wrong_sender:
      return v1::ReceiptAnswer::STATUS_WRONG_SENDER;
    case SettleStatus::expired:
      return v1::ReceiptAnswer::STATUS_EXPIRED;
    case SettleStatus::over_limit:
      return v1::ReceiptAnswer::STATUS_OVER_LIMIT;
    case SettleStatus::unknown_key:
      return v1::ReceiptAnswer::STATUS_UNKNOWN_KEY;
    case SettleStatus::unavailable:
      return v1::ReceiptAnswer::STATUS_UNAVAILABLE;
  }
  return v1::ReceiptAnswer::STATUS_UNSPECIFIED;
}

void fill(const ReceiptAnswers& from, v1::OrchestratorMessage& message) {
  v1::ReceiptAnswer& to = *message.mutable_receipt_answer();
  to.set_batch(from.batch);
  for (const SettleAnswer& answer : from.items) {
    v1::ReceiptAnswer::Item& item = *to.add_items();
    item.set_alloc_id(to_text(answer.allocation.view()));
    item.set_status(to_status(answer.status));
    item.set_settled_bytes(answer.settled_bytes);
  }
}

v1::JoinRefused::Reason to_reason(World::RefuseJoin::Reason reason) {
  switch (reason) {
    case World::RefuseJoin::Reason::no_such_stream:
      return v1::JoinRefused::REASON_NO_SUCH_STREAM;
    case World::RefuseJoin::Reason::not_live:
      return v1::JoinRefused::REASON_NOT_LIVE;
    case World::RefuseJoin::Reason::no_capacity:
      return v1::JoinRefused::REASON_NO_CAPACITY;
    case World::RefuseJoin::Reason::not_allowed:
      return v1::JoinRefused::REASON_NOT_ALLOWED;
  }
  return v1::JoinRefused::REASON_UNSPECIFIED;
}

void fill(const JoinRefusal& from, v1::OrchestratorMessage& message) {
  v1::JoinRefused& to = *message.mutable_join_refused();
  to.set_stream_name(from.stream_name);
  to.set_reason(to_reason(from.reason));
  to.set_message(from.message);
}

void fill(const DrainNotice& from, v1::OrchestratorMessage& message) {
  message.mutable_drain()->set_grace_ms(to_ms(from.grace));
}

void fill(const BanNotice& from, v1::OrchestratorMessage& message) {
  message.mutable_ban()->set_reason(from.reason);
}

}  // namespace

std::string serialize_orchestrator_message(const OrchestratorEvent& event) {
  v1::OrchestratorMessage message;
  std::visit([&message](const auto& body) { fill(body, message); }, event);
  return message.SerializeAsString();
}

}  // namespace tayga::orch
