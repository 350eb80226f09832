#include "daemon/control/control_mapping.hpp"

#include "tayga/v1/control.pb.h"
#include "tests/support/catch.hpp"

namespace tayga::control {
namespace {

template <class Id>
Id id_of(char fill) {
  Id id;
  id.bytes.fill(static_cast<std::byte>(fill));
  return id;
}

v1::OrchestratorMessage assignment_message() {
  v1::OrchestratorMessage message;
  v1::Assignment& a = *message.mutable_assignment();
  a.set_incarnation(7);
  a.set_revision(8);
  a.set_carry(true);
  v1::StreamDescriptor& stream = *a.mutable_stream();
  stream.set_stream_id(std::string(32, 's'));
  stream.set_name("news");
  stream.set_stripe_count(4);
  stream.add_handles(std::string(16, 'h'));
  stream.set_window_ms(1500);
  stream.add_tracks()->set_track(2);
  stream.mutable_tracks(0)->set_playlist_path("720p.m3u8");
  stream.mutable_tracks(0)->set_bitrate_bps(3'000'000);
  v1::Upstream& upstream = *a.add_upstream();
  upstream.set_track(2);
  upstream.set_stripe(3);
  upstream.set_parent(std::string(32, 'p'));
  upstream.set_role(v1::Upstream::ROLE_STANDBY);
  v1::Downstream& downstream = *a.add_downstream();
  downstream.set_track(2);
  downstream.set_stripe(0);
  downstream.set_child(std::string(32, 'c'));
  a.add_allocations(std::string(232, 'a'));
  v1::PeerAddress& peer = *a.add_peers();
  peer.set_node(std::string(32, 'p'));
  peer.add_endpoints()->set_address("192.0.2.7");
  peer.mutable_endpoints(0)->set_port(7410);
  a.add_gateways(std::string(32, 'g'));
  a.set_rescue_permille(70);
  a.set_audience(64);
  return message;
}

error_code refusal(const v1::OrchestratorMessage& message) {
  const auto incoming = to_incoming(message);
  return incoming ? error_code{} : incoming.error();
}

}  // namespace

TEST_CASE("an assignment arrives with everything that the core needs") {
  const auto incoming = to_incoming(assignment_message());
  REQUIRE(incoming.has_value());
  const auto& message = std::get<AssignmentMessage>(*incoming);
  relay::Assignment expected;
  expected.incarnation = 7;
  expected.revision = 8;
  expected.carry = true;
  expected.stream.id = id_of<StreamId>('s');
  expected.stream.name = "news";
  expected.stream.stripe_count = 4;
  expected.stream.handles = {id_of<StreamHandle>('h')};
  expected.stream.playout_window = 1500ms;
  expected.stream.tracks = {{TrackId{2}, "720p.m3u8", 3'000'000}};
  expected.upstream = {
      {TrackId{2}, StripeIndex{3}, id_of<NodeId>('p'), relay::UpstreamRole::standby}};
  expected.downstream = {{TrackId{2}, StripeIndex{0}, id_of<NodeId>('c')}};
  expected.rescue = {{id_of<NodeId>('g')}, 70, 64};
  expected.allocations.resize(1);
  expected.allocations[0].fill(std::byte{'a'});
  CHECK(message.assignment == expected);
  REQUIRE(message.peers.size() == 1);
  CHECK(message.peers[0].node == id_of<NodeId>('p'));
  CHECK(message.peers[0].endpoints == std::vector{*transport::parse_endpoint("192.0.2.7:7410")});
}

TEST_CASE("an assignment with a wrong size or range is refused whole") {
  auto message = assignment_message();
  message.mutable_assignment()->mutable_upstream(0)->set_stripe(4);
  CHECK(refusal(message) == ControlErrc::bad_value);
  message = assignment_message();
  message.mutable_assignment()->mutable_downstream(0)->set_stripe(4);
  CHECK(refusal(message) == ControlErrc::bad_value);
  message = assignment_message();
  message.mutable_assignment()->mutable_stream()->set_stripe_count(33);
  CHECK(refusal(message) == ControlErrc::bad_value);
  message = assignment_message();
  message.mutable_assignment()->mutable_stream()->set_stream_id("short");
  CHECK(refusal(message) == ControlErrc::bad_size);
  message = assignment_message();
  message.mutable_assignment()->set_allocations(0, std::string(231, 'a'));
  CHECK(refusal(message) == ControlErrc::bad_size);
  message = assignment_message();
  message.mutable_assignment()->mutable_stream()->set_handles(0, "short");
  CHECK(refusal(message) == ControlErrc::bad_size);
  message = assignment_message();
  message.mutable_assignment()->set_gateways(0, "short");
  CHECK(refusal(message) == ControlErrc::bad_size);
}

TEST_CASE("what a newer orchestrator may say of a part costs that part only") {
  auto message = assignment_message();
  v1::Assignment& a = *message.mutable_assignment();
  a.mutable_upstream(0)->set_role(static_cast<v1::Upstream::Role>(9));
  a.mutable_peers(0)->add_endpoints()->set_address("relay.example.net");
  a.mutable_peers(0)->add_endpoints()->set_address("::1");
  a.mutable_peers(0)->mutable_endpoints(2)->set_port(65'536);
  const auto incoming = to_incoming(message);
  REQUIRE(incoming.has_value());
  const auto& out = std::get<AssignmentMessage>(*incoming);
  CHECK(out.assignment.upstream.empty());
  CHECK(out.peers[0].endpoints.size() == 1);

  for (int i = 0; i < 20; ++i) a.add_gateways(std::string(32, 'g'));
  a.set_rescue_permille(5000);
  const auto boasted = to_incoming(message);
  REQUIRE(boasted.has_value());
  const relay::RescuePlan& rescue = std::get<AssignmentMessage>(*boasted).assignment.rescue;
  CHECK(rescue.gateways.size() == kRescueGatewaysMax);
  CHECK(rescue.share_permille == 1000);
  CHECK(refusal(v1::OrchestratorMessage{}) == ControlErrc::unknown_message);
}

TEST_CASE("each status of a receipt answer has its verdict") {
  using Verdict = relay::ReceiptBook::Answer::Verdict;
  v1::OrchestratorMessage message;
  v1::ReceiptAnswer& answer = *message.mutable_receipt_answer();
  answer.set_batch(3);
  for (int status = 0; status <= 11; ++status) {
    auto& item = *answer.add_items();
    item.set_alloc_id(std::string(16, static_cast<char>(status)));
    item.set_status(static_cast<v1::ReceiptAnswer::Status>(status));
    item.set_settled_bytes(100);
  }
  const auto incoming = to_incoming(message);
  REQUIRE(incoming.has_value());
  const auto& out = std::get<ReceiptAnswers>(*incoming);
  CHECK(out.batch == 3);
  const std::vector<Verdict> expected{Verdict::retry,   Verdict::durable, Verdict::durable,
                                      Verdict::refused, Verdict::refused, Verdict::refused,
                                      Verdict::refused, Verdict::refused, Verdict::refused,
                                      Verdict::retry,   Verdict::retry,   Verdict::retry};
  std::vector<Verdict> verdicts;
  for (const auto& item : out.items) verdicts.push_back(item.verdict);
  CHECK(verdicts == expected);
  CHECK(out.items[5].allocation.bytes[0] == std::byte{5});
}

TEST_CASE("the intervals of a welcome are kept within reason") {
  v1::OrchestratorMessage message;
  v1::Welcome& in = *message.mutable_welcome();
  in.set_network_id("12345678");
  in.set_time_ms(1'800'000'000'000);
  in.set_telemetry_interval_ms(0);
  in.set_receipt_submit_interval_ms(4'000'000'000);
  in.set_observed_address(std::string{"\xc0\x00\x02\x09", 4});
  const auto incoming = to_incoming(message);
  REQUIRE(incoming.has_value());
  const auto& welcome = std::get<WelcomeMessage>(*incoming);
  CHECK(welcome.telemetry_interval == 100ms);
  CHECK(welcome.receipt_submit_interval == 1h);
  CHECK(welcome.time == WallTime{std::chrono::milliseconds{1'800'000'000'000}});
  REQUIRE(welcome.observed_address);
  CHECK(welcome.observed_address->to_string() == "192.0.2.9");
  in.set_time_ms(~std::uint64_t{0});
  CHECK(refusal(message) == ControlErrc::bad_value);
}

TEST_CASE("an offer without a key hash takes no pushed ingest") {
  v1::OrchestratorMessage message;
  message.mutable_publish_offer()->set_stream_name("news");
  message.mutable_publish_offer()->set_stripe_count(4);
  const auto offer = to_incoming(message);
  REQUIRE(offer.has_value());
  CHECK_FALSE(std::get<PublishOffer>(*offer).ingest_key_hash);
  message.mutable_publish_offer()->set_ingest_key_sha256(std::string(32, 'k'));
  CHECK(std::get<PublishOffer>(*to_incoming(message)).ingest_key_hash);
  message.mutable_publish_offer()->set_ingest_key_sha256(std::string(31, 'k'));
  CHECK(refusal(message) == ControlErrc::bad_size);
}

TEST_CASE("telemetry and hello that would be too large lose their least useful end") {
  Telemetry telemetry{1, WallTime{}, {}};
  telemetry.snapshot.links.resize(1000);
  StreamReport stream;
  stream.stripes.resize(400);
  for (StripeReport& stripe : stream.stripes) stripe.parent = NodeId{};
  stream.played_bytes = 5;
  stream.gateway_bytes = 6;
  stream.repairs = 7;
  telemetry.snapshot.suspicions = 8;
  telemetry.snapshot.false_suspicions = 3;
  telemetry.snapshot.streams.assign(100, stream);
  const v1::NodeMessage message = to_proto(Outgoing{telemetry});
  CHECK(message.ByteSizeLong() <= kControlMessageMax);
  CHECK(message.telemetry().links_size() == static_cast<int>(kLinkReportsMax));
  CHECK(message.telemetry().streams_size() == static_cast<int>(kStreamReportsMax));
  CHECK(message.telemetry().streams(0).stripes_size() == 400);
  CHECK(message.telemetry().streams(63).stripes_size() == 0);
  CHECK(message.telemetry().streams(63).played_bytes() == 5);
  CHECK(message.telemetry().streams(63).gateway_bytes() == 6);
  CHECK(message.telemetry().streams(63).repairs() == 7);
  CHECK(message.telemetry().suspicions() == 8);
  CHECK(message.telemetry().false_suspicions() == 3);

  Hello hello;
  hello.profile.name = std::string(100, 'n');
  hello.profile.endpoints.resize(20);
  hello.held.resize(70);
  for (HeldStream& held : hello.held) held.upstream.resize(200);
  const v1::NodeMessage said = to_proto(Outgoing{hello});
  CHECK(said.ByteSizeLong() <= kControlMessageMax);
  CHECK(said.hello().held_size() > 0);
  CHECK(said.hello().endpoints_size() == static_cast<int>(kEndpointsMax));
  CHECK(said.hello().name().size() == kLabelSizeMax);

  hello.held.assign(1, HeldStream{});
  hello.held[0].upstream.assign(2, relay::Upstream{});
  hello.held[0].upstream[1].role = relay::UpstreamRole::standby;
  const v1::NodeMessage resumed = to_proto(Outgoing{hello});
  CHECK(resumed.hello().held(0).upstream(0).role() == v1::Upstream::ROLE_PRIMARY);
  CHECK(resumed.hello().held(0).upstream(1).role() == v1::Upstream::ROLE_STANDBY);
}

TEST_CASE("failures, evidence and receipts go out field by field") {
  relay::Relay::ParentLost lost{
      id_of<StreamId>('s'), TrackId{2}, 5, id_of<NodeId>('p'), relay::LossReason::silent, 77,
      id_of<NodeId>('q')};
  const v1::LinkFailure failure = to_proto(Outgoing{lost}).link_failure();
  CHECK(failure.stream_id() == std::string(32, 's'));
  CHECK(failure.track() == 2);
  CHECK(failure.stripe_mask() == 5);
  CHECK(failure.parent() == std::string(32, 'p'));
  CHECK(failure.reason() == v1::LinkFailure::REASON_SILENT);
  CHECK(failure.revision() == 77);
  CHECK(failure.promoted_to() == std::string(32, 'q'));
  lost.promoted.reset();
  CHECK(to_proto(Outgoing{lost}).link_failure().promoted_to().empty());

  relay::ReceiptBook::Batch batch{9, {}};
  batch.items.resize(2);
  batch.items[1].fill(std::byte{'i'});
  const v1::ReceiptBatch receipts = to_proto(Outgoing{batch}).receipts();
  CHECK(receipts.batch() == 9);
  REQUIRE(receipts.items_size() == 2);
  CHECK(receipts.items(1) == std::string(408, 'i'));

  const relay::Relay::Tampered tampered{id_of<NodeId>('t'), Bytes(3), Bytes(4)};
  const v1::TamperEvidence evidence = to_proto(Outgoing{tampered}).evidence();
  CHECK(evidence.sender() == std::string(32, 't'));
  CHECK(evidence.slice_header().size() == 3);
  CHECK(evidence.chunk().size() == 4);
}

}  // namespace tayga::control
