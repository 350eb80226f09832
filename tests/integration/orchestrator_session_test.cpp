#include "common/base/encoding.hpp"
#include "common/base/protocol.hpp"
#include "common/crypto/certificate.hpp"
#include "common/media/publish_claim.hpp"
#include "common/media/receipts.hpp"
#include "tests/integration/orchestrator_client.hpp"
#include "tests/integration/orchestrator_process.hpp"
#include "tests/support/catch.hpp"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <signal.h>

#include <fstream>
#include <iterator>

using namespace tayga;
using namespace tayga::test;

namespace {

bool contains(const std::string& text, const std::string& part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

std::string to_text(ByteView bytes) {
  return std::string{as_text(bytes)};
}

crypto::SigningKey new_key() {
  crypto::init();
  return crypto::SigningKey::generate();
}

/// A self-signed RSA certificate: valid TLS, but no identity of ours.
ClientCredentials rsa_credentials(const std::string& state) {
  EVP_PKEY* key = EVP_RSA_gen(2048);
  X509* certificate = X509_new();
  REQUIRE((key != nullptr && certificate != nullptr));
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("rsa"), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  REQUIRE(X509_sign(certificate, key, EVP_sha256()) != 0);
  const auto text_of = [](BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    std::string text(data, static_cast<std::size_t>(size));
    BIO_free(bio);
    return text;
  };
  BIO* key_bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(key_bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  BIO* certificate_bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(certificate_bio, certificate);
  ClientCredentials out = node_credentials(state, new_key());
  out.key_pem = text_of(key_bio);
  out.certificate_pem = text_of(certificate_bio);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return out;
}

v1::NodeMessage join(const std::string& stream) {
  v1::NodeMessage message;
  message.mutable_join()->set_stream_name(stream);
  message.mutable_join()->add_tracks(0);
  message.mutable_join()->add_tracks(1);
  return message;
}

v1::NodeMessage publish(const std::string& stream, const NetworkId& network, const NodeId& gateway,
                        const crypto::SigningKey& stream_key) {
  v1::NodeMessage message;
  v1::Publish& p = *message.mutable_publish();
  p.set_stream_name(stream);
  p.set_stream_id(to_text(stream_key.stream_id().view()));
  p.set_claim_signature(
      to_text(stream_key.sign(media::serialize_publish_claim(network, gateway, stream))));
  p.set_publisher_epoch(1);
  v1::TrackInfo& presentation = *p.add_tracks();
  presentation.set_track(0);
  v1::TrackInfo& video = *p.add_tracks();
  video.set_track(1);
  video.set_playlist_path("v/index.m3u8");
  video.set_bitrate_bps(4'000'000);
  return message;
}

bool is_assignment(const v1::OrchestratorMessage& m) {
  return m.has_assignment();
}

NetworkId network_of(const v1::OrchestratorMessage& welcome) {
  return *NetworkId::from(as_bytes(welcome.welcome().network_id()));
}

/// Waits until the API shows it: telemetry and snapshots take their time.
template <class Predicate>
bool eventually(const Predicate& predicate) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{20};
  while (std::chrono::steady_clock::now() < deadline) {
    if (predicate()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
  }
  return false;
}

}  // namespace

TEST_CASE("a node is welcomed under the key of its certificate and listed across a restart") {
  RunningOrchestrator orchestrator;
  orchestrator.start();
  const auto key = new_key();
  const std::string id = to_string(key.node_id());
  {
    TestNode node{orchestrator.address(), node_credentials(orchestrator.state(), key)};
    REQUIRE(node.join_network(v1::ROLE_RELAY, "box\x1b[31m"));
    REQUIRE(eventually(
        [&] { return contains(orchestrator.get("/api/v1/nodes").body, "\"connected\":true"); }));
    const std::string nodes = orchestrator.get("/api/v1/nodes").body;
    CHECK(contains(nodes, id));
    CHECK(contains(nodes, "\"name\":\"box[31m\""));
  }
  REQUIRE(eventually(
      [&] { return contains(orchestrator.get("/api/v1/nodes").body, "\"connected\":false"); }));
  CHECK(orchestrator.stop(SIGTERM).exit_code == 0);
  orchestrator.start();
  CHECK(contains(orchestrator.verb({"node", "ls", "--json"}).out, id));
}

TEST_CASE("the welcome carries the network, the time, and online keys that the root signed") {
  RunningOrchestrator orchestrator;
  orchestrator.start();
  const auto credentials = node_credentials(orchestrator.state(), new_key());
  TestNode node{orchestrator.address(), credentials};
  v1::NodeMessage hello;
  hello.mutable_hello()->set_protocol_version(kControlProtocolVersion);
  REQUIRE(node.send(hello));
  const auto message = node.receive([](const auto& m) { return m.has_welcome(); });
  REQUIRE(message);
  const v1::Welcome& welcome = message->welcome();
  const auto root = crypto::ca_root_key(credentials.ca_pem);
  REQUIRE(welcome.online_keys_size() == 1);
  CHECK(media::verify_online_key(as_bytes(welcome.online_keys(0)), *root, network_of(*message)));
  CHECK(welcome.observed_address() == std::string("\x7f\0\0\x01", 4));
  CHECK(welcome.incarnation() > 0);
  CHECK(welcome.telemetry_interval_ms() == 1000);
}

TEST_CASE("a client without an Ed25519 certificate is refused") {
  RunningOrchestrator orchestrator;
  orchestrator.start();
  TestNode rsa{orchestrator.address(), rsa_credentials(orchestrator.state())};
  const auto refused = rsa.wait_end();
  REQUIRE(refused);
  CHECK(refused->error_code() == grpc::StatusCode::UNAUTHENTICATED);

  ClientCredentials none = node_credentials(orchestrator.state(), new_key());
  none.key_pem.clear();
  none.certificate_pem.clear();
  TestNode anonymous{orchestrator.address(), none};
  const auto failed = anonymous.wait_end();
  REQUIRE(failed);
  CHECK(failed->error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK(contains(orchestrator.get("/metrics").body,
                 "tayga_orchestrator_sessions_unauthenticated_total 1\n"));
}

TEST_CASE("a client that trusts another network's CA does not connect") {
  RunningOrchestrator orchestrator;
  const RunningOrchestrator other;
  orchestrator.start();
  TestNode node{orchestrator.address(), node_credentials(other.state(), new_key())};
  const auto failed = node.wait_end();
  REQUIRE(failed);
  CHECK(failed->error_code() == grpc::StatusCode::UNAVAILABLE);
}

TEST_CASE("a newer session of a node takes the place of the older one") {
  RunningOrchestrator orchestrator;
  orchestrator.start();
  const auto credentials = node_credentials(orchestrator.state(), new_key());
  TestNode older{orchestrator.address(), credentials};
  REQUIRE(older.join_network(v1::ROLE_RELAY, "older"));
  TestNode newer{orchestrator.address(), credentials};
  REQUIRE(newer.join_network(v1::ROLE_VIEWER, "newer"));
  const auto ended = older.wait_end();
  REQUIRE(ended);
  CHECK(ended->error_code() == grpc::StatusCode::ABORTED);
  REQUIRE(newer.send(join("nothing")));
  const auto refusal = newer.receive([](const auto& m) { return m.has_join_refused(); });
  REQUIRE(refusal);
  CHECK(refusal->join_refused().reason() == v1::JoinRefused::REASON_NO_SUCH_STREAM);
  CHECK(contains(orchestrator.get("/metrics").body, "tayga_orchestrator_sessions 1\n"));
}

TEST_CASE("a session that breaks the protocol is closed with the reason") {
  RunningOrchestrator orchestrator;
  orchestrator.start();
  TestNode no_hello{orchestrator.address(), node_credentials(orchestrator.state(), new_key())};
  no_hello.send(join("tv"));
  const auto first = no_hello.wait_end();
  REQUIRE(first);
  CHECK(first->error_code() == grpc::StatusCode::FAILED_PRECONDITION);

  TestNode bad{orchestrator.address(), node_credentials(orchestrator.state(), new_key())};
  REQUIRE(bad.join_network(v1::ROLE_VIEWER, "bad"));
  bad.send(join("Not A Name"));
  const auto second = bad.wait_end();
  REQUIRE(second);
  CHECK(second->error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(contains(second->error_message(), "stream name"));

  TestNode silent{orchestrator.address(), node_credentials(orchestrator.state(), new_key())};
  const auto third = silent.wait_end();
  REQUIRE(third);
  CHECK_FALSE(third->ok());
}

TEST_CASE("a viewer is given a parent with a signed allocation when a gateway publishes") {
  RunningOrchestrator orchestrator;
  orchestrator.start();
  const auto gateway_key = new_key();
  const auto viewer_key = new_key();
  const auto stream_key = new_key();
  TestNode gateway{orchestrator.address(), node_credentials(orchestrator.state(), gateway_key)};
  v1::NodeMessage hello;
  hello.mutable_hello()->set_protocol_version(kControlProtocolVersion);
  hello.mutable_hello()->add_roles(v1::ROLE_GATEWAY);
  hello.mutable_hello()->set_upload_bps(100'000'000);
  hello.mutable_hello()->set_children_max(16);
  v1::Endpoint& endpoint = *hello.mutable_hello()->add_endpoints();
  endpoint.set_address("0.0.0.0");
  endpoint.set_port(7410);
  REQUIRE(gateway.send(hello));
  const auto welcome = gateway.receive([](const auto& m) { return m.has_welcome(); });
  REQUIRE(welcome);

  REQUIRE(orchestrator.verb({"stream", "add", "tv", "--stripes", "2"}).exit_code == 0);
  const auto offer = gateway.receive([](const auto& m) { return m.has_publish_offer(); });
  REQUIRE(offer);
  CHECK(offer->publish_offer().ingest_key_sha256().size() == 32);
  REQUIRE(gateway.send(publish("tv", network_of(*welcome), gateway_key.node_id(), stream_key)));

  TestNode viewer{orchestrator.address(), node_credentials(orchestrator.state(), viewer_key)};
  REQUIRE(viewer.join_network(v1::ROLE_VIEWER, "viewer"));
  REQUIRE(viewer.send(join("tv")));
  const auto message = viewer.receive(is_assignment);
  REQUIRE(message);
  const v1::Assignment& assignment = message->assignment();
  CHECK(assignment.carry());
  CHECK(assignment.stream().stripe_count() == 2);
  CHECK(assignment.upstream_size() == 4);  // two tracks in two stripes
  REQUIRE(assignment.peers_size() == 1);
  CHECK(assignment.peers(0).node() == to_text(gateway_key.node_id().view()));
  CHECK(assignment.peers(0).endpoints(0).address() == "127.0.0.1");
  REQUIRE(assignment.allocations_size() == 1);
  const auto online = media::parse_online_key(as_bytes(welcome->welcome().online_keys(0)));
  const auto allocation =
      media::verify_allocation(as_bytes(assignment.allocations(0)), online->key);
  REQUIRE(allocation);
  CHECK(allocation->sender == gateway_key.node_id());
  CHECK(allocation->receiver == viewer_key.node_id());
  CHECK(allocation->stripe_mask == 3);
  CHECK(to_text(allocation->stream_handle.view()) == assignment.stream().handles(0));

  const auto down = gateway.receive(
      [](const auto& m) { return m.has_assignment() && m.assignment().downstream_size() == 4; });
  CHECK(down);
  REQUIRE(eventually(
      [&] { return contains(orchestrator.get("/api/v1/streams").body, "\"live\":true"); }));
  REQUIRE(eventually([&] {
    return contains(orchestrator.get("/api/v1/links").body, to_string(viewer_key.node_id()));
  }));

  REQUIRE(orchestrator.verb({"stream", "rm", "tv"}).exit_code == 0);
  const auto dropped =
      viewer.receive([](const auto& m) { return m.has_assignment() && !m.assignment().carry(); });
  CHECK(dropped);
  CHECK(gateway.receive([](const auto& m) { return m.has_publish_withdrawn(); }));
}

TEST_CASE("nodes are told when the orchestrator stops, and it ends in time") {
  RunningOrchestrator orchestrator;
  orchestrator.start();
  TestNode node{orchestrator.address(), node_credentials(orchestrator.state(), new_key())};
  REQUIRE(node.join_network(v1::ROLE_RELAY, "box"));
  const auto began = std::chrono::steady_clock::now();
  CHECK(orchestrator.stop(SIGTERM).exit_code == 0);
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds{15});
  const auto ended = node.wait_end();
  REQUIRE(ended);
  CHECK(ended->error_code() == grpc::StatusCode::UNAVAILABLE);
}

TEST_CASE("a node that never reads is cut off, and others are served meanwhile") {
  RunningOrchestrator orchestrator;
  orchestrator.start();
  TestNode stalled{orchestrator.address(), node_credentials(orchestrator.state(), new_key()),
                   TestNode::Reading::stalled};
  v1::NodeMessage hello;
  hello.mutable_hello()->set_protocol_version(kControlProtocolVersion);
  hello.mutable_hello()->add_roles(v1::ROLE_VIEWER);
  REQUIRE(stalled.send(hello));
  // Each batch is answered with some 20 KB, so the peer's window fills within a few.
  v1::NodeMessage batch;
  for (int i = 0; i < 512; ++i) batch.mutable_receipts()->add_items(std::string(408, 'x'));
  bool cut_off = false;
  for (int i = 0; i < 2'000 && !cut_off; ++i) cut_off = !stalled.send(batch);
  const auto cut_off_count = [&] {
    return !contains(orchestrator.get("/metrics").body,
                     "tayga_orchestrator_sessions_stalled_total 0\n");
  };
  CHECK(eventually(cut_off_count));
  TestNode other{orchestrator.address(), node_credentials(orchestrator.state(), new_key())};
  CHECK(other.join_network(v1::ROLE_RELAY, "other"));
}
