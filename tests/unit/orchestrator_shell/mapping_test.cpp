#include "orchestrator/rpc/mapping.hpp"

#include "orchestrator/rpc/limits.hpp"
#include "tests/support/catch.hpp"

#include <tayga/v1/control.pb.h>
#include <unistd.h>

#include <cstdio>
#include <string>

using namespace tayga;
using namespace tayga::orch;

namespace {

const std::string kKey(32, '\x07');
const std::string kOther(32, '\x08');

MessageOrigin origin() {
  MessageOrigin out;
  out.node.bytes.fill(std::byte{7});
  out.observed_address = "198.51.100.9";
  return out;
}

Result<NodeEvent> parse(const v1::NodeMessage& message) {
  const std::string bytes = message.SerializeAsString();
  return parse_node_message(as_bytes(bytes), origin());
}

error_code refusal(const v1::NodeMessage& message) {
  const auto event = parse(message);
  return event ? error_code{} : event.error();
}

v1::NodeMessage hello() {
  v1::NodeMessage m;
  v1::NodeHello& h = *m.mutable_hello();
  h.set_protocol_version(1);
  h.set_software("taygad/0.1.0");
  h.add_roles(v1::ROLE_RELAY);
  h.add_roles(v1::ROLE_VIEWER);
  h.add_endpoints()->set_address("192.0.2.4");
  h.mutable_endpoints(0)->set_port(7410);
  h.set_upload_bps(8'000'000);
  h.set_children_max(12);
  h.set_name("box");
  return m;
}

}  // namespace

TEST_CASE("a hello becomes a node's record under the session's proven id") {
  const auto event = parse(hello());
  REQUIRE(event);
  const NodeRecord& node = std::get<Hello>(*event).node;
  CHECK(node.id == origin().node);
  CHECK(node.name == "box");
  CHECK(node.software == "taygad/0.1.0");
  CHECK(has_role(node.roles, Role::relay));
  CHECK(has_role(node.roles, Role::viewer));
  CHECK_FALSE(has_role(node.roles, Role::gateway));
  CHECK(node.endpoints == std::vector<Endpoint>{{"192.0.2.4", 7410}});
  CHECK(node.declared_upload_bps == 8'000'000);
  CHECK(node.children_max == 12);
}

TEST_CASE("an unspecified address in a hello means the one that the session comes from") {
  v1::NodeMessage m = hello();
  m.mutable_hello()->mutable_endpoints(0)->set_address("0.0.0.0");
  CHECK(std::get<Hello>(*parse(m)).node.endpoints == std::vector<Endpoint>{{"198.51.100.9", 7410}});
}

TEST_CASE("a hello with a bad endpoint, version or too many parts is refused") {
  v1::NodeMessage m = hello();
  for (const char* address : {"localhost", "", "224.0.0.1", "ff02::1", "1.2.3.4.5"}) {
    m.mutable_hello()->mutable_endpoints(0)->set_address(address);
    CHECK(refusal(m) == RpcErrc::bad_address);
  }
  m = hello();
  m.mutable_hello()->mutable_endpoints(0)->set_port(70'000);
  CHECK(refusal(m) == RpcErrc::bad_address);
  m = hello();
  m.mutable_hello()->set_protocol_version(2);
  CHECK(refusal(m) == RpcErrc::unsupported_version);
  m = hello();
  for (int i = 0; i < kEndpointsMax; ++i)
    *m.mutable_hello()->add_endpoints() = m.hello().endpoints(0);
  CHECK(refusal(m) == RpcErrc::too_many);
}

TEST_CASE("boasts in a hello are cut to what can be true") {
  v1::NodeMessage m = hello();
  m.mutable_hello()->set_upload_bps(~0ULL);
  m.mutable_hello()->set_children_max(~0U);
  m.mutable_hello()->set_name(std::string(500, 'x') + "\n");
  const NodeRecord node = std::get<Hello>(*parse(m)).node;
  CHECK(node.declared_upload_bps == kRateMaxBps);
  CHECK(node.children_max == kChildrenDeclaredMax);
  CHECK(node.name == std::string(kNodeNameMax, 'x'));
}

TEST_CASE("what a resuming node holds comes through, its standbys apart") {
  v1::NodeMessage m = hello();
  v1::HeldStream& held = *m.mutable_hello()->add_held();
  held.set_stream_id(kKey);
  held.set_revision(9);
  v1::Upstream& primary = *held.add_upstream();
  primary.set_track(1);
  primary.set_stripe(3);
  primary.set_parent(kOther);
  primary.set_role(v1::Upstream::ROLE_PRIMARY);
  v1::Upstream& standby = *held.add_upstream();
  standby = primary;
  standby.set_role(v1::Upstream::ROLE_STANDBY);
  standby.set_parent(kKey);
  held.add_playing_tracks(1);
  const auto event = parse(m);
  REQUIRE(event);
  const World::Held& got = std::get<Hello>(*event).held.at(0);
  CHECK(got.revision == 9);
  REQUIRE(got.upstream.size() == 1);
  CHECK(got.upstream[0].stripe == StripeIndex{3});
  CHECK(got.standby ==
        std::vector<UpstreamLink>{{TrackId{1}, StripeIndex{3}, *NodeId::from(as_bytes(kKey))}});
  CHECK(got.playing == std::vector<TrackId>{TrackId{1}});
  m.mutable_hello()->mutable_held(0)->mutable_upstream(0)->set_stripe(32);
  CHECK(refusal(m) == RpcErrc::out_of_range);
}

TEST_CASE("telemetry maps links, stripes and applied revisions") {
  v1::NodeMessage m;
  v1::Telemetry& t = *m.mutable_telemetry();
  t.set_seq(4);
  t.mutable_host()->set_cpu_permille(120);
  v1::LinkReport& link = *t.add_links();
  link.set_peer(kOther);
  link.set_rtt_us(1500);
  link.set_bytes_sent(77);
  v1::StreamReport& stream = *t.add_streams();
  stream.set_stream_id(kKey);
  stream.add_stripes()->set_stripe(2);
  stream.set_played_bytes(10);
  stream.set_repairs(2);
  stream.set_gateway_bytes(11);
  stream.set_origin_bytes(12);
  t.set_suspicions(3);
  t.set_false_suspicions(1);
  v1::AppliedRevision& applied = *t.add_applied();
  applied.set_stream_id(kKey);
  applied.set_revision(6);
  const auto event = parse(m);
  REQUIRE(event);
  const Telemetry& got = std::get<Telemetry>(*event);
  CHECK(got.seq == 4);
  CHECK(got.cpu_permille == 120);
  CHECK(got.links.at(0).rtt_us == 1500);
  CHECK(got.streams.at(0).stripes.at(0).stripe == StripeIndex{2});
  CHECK_FALSE(got.streams.at(0).stripes.at(0).parent);
  CHECK(got.applied.at(*StreamId::from(as_bytes(kKey))) == 6);
  CHECK(got.streams.at(0).repairs == 2);
  CHECK(got.streams.at(0).gateway_bytes == 11);
  CHECK(got.streams.at(0).origin_bytes == 12);
  CHECK(got.suspicions == 3);
  CHECK(got.false_suspicions == 1);
}

TEST_CASE("an id of the wrong size is refused wherever it stands") {
  v1::NodeMessage m;
  m.mutable_telemetry()->add_links()->set_peer("short");
  CHECK(refusal(m) == RpcErrc::bad_id);
  m.mutable_publish()->set_stream_name("tv");
  m.mutable_publish()->set_stream_id(kKey + "x");
  CHECK(refusal(m) == RpcErrc::bad_id);
  m.mutable_evidence()->set_sender("");
  CHECK(refusal(m) == RpcErrc::bad_id);
  m.mutable_link_failure()->set_stream_id("");
  CHECK(refusal(m) == RpcErrc::bad_id);
}

TEST_CASE("a stream name is lower-case letters, digits, dots, dashes and underscores") {
  v1::NodeMessage m;
  for (const char* good : {"tv", "1", "a.b-c_d"}) {
    m.mutable_join()->set_stream_name(good);
    CHECK(parse(m));
  }
  for (const std::string& bad : {std::string{}, std::string{"TV"}, std::string{".tv"},
                                 std::string{"a/b"}, std::string{"a b"}, std::string(64, 'a')}) {
    m.mutable_join()->set_stream_name(bad);
    CHECK(refusal(m) == RpcErrc::bad_name);
  }
}

TEST_CASE("receipts come through as they are, up to 512 of them") {
  v1::NodeMessage m;
  m.mutable_receipts()->set_batch(3);
  for (int i = 0; i < kReceiptItemsMax; ++i) m.mutable_receipts()->add_items(std::string(408, 'r'));
  const auto event = parse(m);  // 210 KB: only receipts may be so large
  REQUIRE(event);
  CHECK(std::get<ReceiptBatch>(*event).batch == 3);
  CHECK(std::get<ReceiptBatch>(*event).items.size() == 512);
  m.mutable_receipts()->add_items("x");
  CHECK(refusal(m) == RpcErrc::too_many);
}

TEST_CASE("a receipt item that is too long is kept empty, so that it takes no room") {
  v1::NodeMessage m;
  m.mutable_receipts()->add_items(std::string(409, 'r'));
  m.mutable_receipts()->add_items(std::string(408, 'r'));
  m.mutable_receipts()->add_items("short");
  const auto event = parse(m);
  REQUIRE(event);
  const std::vector<Bytes>& items = std::get<ReceiptBatch>(*event).items;
  REQUIRE(items.size() == 3);
  CHECK(items[0].empty());
  CHECK(items[1].size() == 408);
  CHECK(items[2].size() == 5);
}

TEST_CASE("telemetry beyond the limits is cut and does not end the session") {
  v1::NodeMessage m;
  v1::Telemetry& t = *m.mutable_telemetry();
  for (int i = 0; i < kLinkReportsMax + 1; ++i) t.add_links()->set_peer(kOther);
  for (int i = 0; i < kStreamReportsMax + 1; ++i) t.add_streams()->set_stream_id(kKey);
  for (int i = 0; i < kStripeReportsMax + 1; ++i) t.mutable_streams(0)->add_stripes();
  for (int i = 0; i < kAppliedMax + 1; ++i) t.add_applied()->set_stream_id(kKey);
  const auto event = parse(m);
  REQUIRE(event);
  const Telemetry& got = std::get<Telemetry>(*event);
  CHECK(got.links.size() == kLinkReportsMax);
  CHECK(got.streams.size() == kStreamReportsMax);
  CHECK(got.streams[0].stripes.size() == kStripeReportsMax);
}

TEST_CASE("a text that is not UTF-8 is refused without a word on stderr") {
  const std::string bytes{"\x22\x03\x0A\x01\xFF", 5};  // leave, its stream name one byte
  std::FILE* const file = std::tmpfile();
  REQUIRE(file != nullptr);
  const int kept = dup(STDERR_FILENO);
  REQUIRE(dup2(fileno(file), STDERR_FILENO) == STDERR_FILENO);
  const bool refused = !parse_node_message(as_bytes(bytes), origin());
  REQUIRE(dup2(kept, STDERR_FILENO) == STDERR_FILENO);
  close(kept);
  CHECK(refused);
  CHECK(std::fseek(file, 0, SEEK_END) == 0);
  CHECK(std::ftell(file) == 0);
  std::fclose(file);
}

TEST_CASE("any other message above 64 KiB is refused before it is parsed") {
  v1::NodeMessage m;
  m.mutable_goodbye()->set_reason(std::string(kControlMessageMax, 'x'));
  CHECK(refusal(m) == RpcErrc::too_large);
}

TEST_CASE("a link failure needs a known reason") {
  v1::NodeMessage m;
  v1::LinkFailure& f = *m.mutable_link_failure();
  f.set_stream_id(kKey);
  f.set_parent(kOther);
  f.set_stripe_mask(5);
  f.set_reason(v1::LinkFailure::REASON_SILENT);
  const auto event = parse(m);
  REQUIRE(event);
  CHECK(std::get<World::LinkFailure>(*event).reason == LinkFailureReason::silent);
  CHECK_FALSE(std::get<World::LinkFailure>(*event).promoted_to);
  f.set_promoted_to(kKey);
  const auto promotion = parse(m);
  REQUIRE(promotion);
  CHECK(std::get<World::LinkFailure>(*promotion).promoted_to == NodeId::from(as_bytes(kKey)));
  f.set_promoted_to("short");
  CHECK(refusal(m) == RpcErrc::bad_id);
  f.clear_promoted_to();
  f.set_reason(v1::LinkFailure::REASON_UNSPECIFIED);
  CHECK(refusal(m) == RpcErrc::bad_enum);
}

TEST_CASE("a kind of message from the future is told apart from a broken one") {
  const std::string future = std::string{"\xA2\x06\x01x", 4};  // field 100, one byte
  const auto newer = parse_node_message(as_bytes(future), origin());
  REQUIRE_FALSE(newer);
  CHECK(newer.error() == RpcErrc::unknown_message);
  const auto broken = parse_node_message(as_bytes("\x0A\xFF"), origin());
  REQUIRE_FALSE(broken);
  CHECK(broken.error() == RpcErrc::not_protobuf);
}

TEST_CASE("an issued assignment is written with its descriptor, links, addresses and allocations") {
  IssuedAssignment a;
  a.incarnation = 11;
  a.target.revision = 12;
  a.target.stream = *StreamId::from(as_bytes(kKey));
  a.target.upstream = {{TrackId{1}, StripeIndex{2}, *NodeId::from(as_bytes(kOther))}};
  a.target.standby = {{TrackId{1}, StripeIndex{2}, *NodeId::from(as_bytes(kKey))}};
  a.target.rescue = {{*NodeId::from(as_bytes(kKey))}, 50, 16};
  a.target.downstream = {{TrackId{3}, StripeIndex{0}, *NodeId::from(as_bytes(kOther))}};
  a.stream_name = "tv";
  a.stripe_count = 4;
  a.handles = {StreamHandle{}};
  a.window = 2s;
  a.tracks = {{TrackId{1}, "v.m3u8", 5}};
  a.peers = {{*NodeId::from(as_bytes(kOther)), {{"192.0.2.1", 7410}}}};
  a.allocations = {wire::AllocationBlob{}};
  v1::OrchestratorMessage m;
  REQUIRE(m.ParseFromString(serialize_orchestrator_message(a)));
  const v1::Assignment& got = m.assignment();
  CHECK(got.incarnation() == 11);
  CHECK(got.revision() == 12);
  CHECK(got.carry());
  CHECK(got.stream().name() == "tv");
  CHECK(got.stream().window_ms() == 2000);
  CHECK(got.stream().handles_size() == 1);
  CHECK(got.upstream(0).parent() == kOther);
  CHECK(got.upstream(0).role() == v1::Upstream::ROLE_PRIMARY);
  CHECK(got.upstream(1).parent() == kKey);
  CHECK(got.upstream(1).role() == v1::Upstream::ROLE_STANDBY);
  REQUIRE(got.gateways_size() == 1);
  CHECK(got.gateways(0) == kKey);
  CHECK(got.rescue_permille() == 50);
  CHECK(got.audience() == 16);
  CHECK(got.downstream(0).child() == kOther);
  CHECK(got.peers(0).endpoints(0).port() == 7410);
  CHECK(got.allocations(0).size() == wire::kAllocationSize);
}

TEST_CASE("an offer says that no encoder may push when no ingest key was given") {
  v1::OrchestratorMessage m;
  REQUIRE(m.ParseFromString(serialize_orchestrator_message(PublishOffer{})));
  CHECK(m.publish_offer().ingest_key_sha256().empty());
  PublishOffer offer;
  offer.ingest_key_hash[0] = std::byte{1};
  REQUIRE(m.ParseFromString(serialize_orchestrator_message(offer)));
  CHECK(m.publish_offer().ingest_key_sha256().size() == 32);
}

TEST_CASE("receipt answers keep their order and statuses") {
  ReceiptAnswers answers;
  answers.batch = 4;
  answers.items = {{AllocationId{}, SettleStatus::accepted, 9},
                   {AllocationId{}, SettleStatus::unavailable, 0}};
  v1::OrchestratorMessage m;
  REQUIRE(m.ParseFromString(serialize_orchestrator_message(answers)));
  CHECK(m.receipt_answer().batch() == 4);
  CHECK(m.receipt_answer().items(0).status() == v1::ReceiptAnswer::STATUS_ACCEPTED);
  CHECK(m.receipt_answer().items(0).settled_bytes() == 9);
  CHECK(m.receipt_answer().items(1).status() == v1::ReceiptAnswer::STATUS_UNAVAILABLE);
}
