#include "daemon/control/control_mapping.hpp"
#include "tayga/v1/control.pb.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

// The second half of control_mapping.hpp: what we believe of the orchestrator's words.
namespace tayga::control {

namespace {

constexpr Duration kTelemetryIntervalMin = 100ms;
constexpr Duration kTelemetryIntervalMax = 60s;
constexpr Duration kSubmitIntervalMin = 1s;
constexpr Duration kSubmitIntervalMax = 1h;
constexpr unsigned kShareMaxPermille = 1000;

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

/// Gateways beyond kRescueGatewaysMax are left out: the first ones do.
Result<void> add_rescue(const v1::Assignment& in, relay::RescuePlan& out) {
  for (const std::string& gateway : in.gateways()) {
    if (out.gateways.size() == kRescueGatewaysMax) break;
    if (!copy_id(gateway, out.gateways.emplace_back())) return ControlErrc::bad_size;
  }
  out.share_permille = std::min(in.rescue_permille(), kShareMaxPermille);
  out.audience = in.audience();
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
  if (const auto added = add_rescue(in, out.assignment.rescue); !added) return added.error();
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
