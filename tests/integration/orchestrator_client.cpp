#include "tests/integration/orchestrator_client.hpp"

#include "common/base/protocol.hpp"
#include "common/crypto/certificate.hpp"

#include <fstream>
#include <iterator>

namespace tayga::test {
namespace {

std::string read_file(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

}  // namespace

ClientCredentials node_credentials(const std::string& state, const crypto::SigningKey& key) {
  return {read_file(state + "/ca.crt"), crypto::to_pkcs8_pem(key),
          crypto::make_self_signed_certificate(key, "test")};
}

TestNode::TestNode(const std::string& address, const ClientCredentials& credentials,
                   Reading reading) {
  grpc::SslCredentialsOptions ssl;
  ssl.pem_root_certs = credentials.ca_pem;
  ssl.pem_private_key = credentials.key_pem;
  ssl.pem_cert_chain = credentials.certificate_pem;
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride(std::string{kOrchestratorTlsName});
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  channel_ = grpc::CreateCustomChannel(address, grpc::SslCredentials(ssl), arguments);
  stub_ = v1::Control::NewStub(channel_);
  stream_ = stub_->Session(&context_);
  if (reading == Reading::started) reader_ = std::thread{[this] { run_reader(); }};
}

TestNode::~TestNode() {
  context_.TryCancel();
  if (reader_.joinable()) {
    reader_.join();
  } else {
    stream_->Finish();
  }
}

void TestNode::run_reader() {
  for (v1::OrchestratorMessage message; stream_->Read(&message);) {
    const std::scoped_lock lock{mutex_};
    received_.push_back(message);
    changed_.notify_all();
  }
  const grpc::Status status = stream_->Finish();
  const std::scoped_lock lock{mutex_};
  ended_ = status;
  changed_.notify_all();
}

bool TestNode::send(const v1::NodeMessage& message) {
  return stream_->Write(message);
}

std::optional<v1::OrchestratorMessage> TestNode::receive(const Wanted& wanted,
                                                         std::chrono::seconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  std::unique_lock lock{mutex_};
  for (;;) {
    while (!received_.empty()) {
      v1::OrchestratorMessage message = std::move(received_.front());
      received_.pop_front();
      if (wanted(message)) return message;
    }
    if (ended_ || changed_.wait_until(lock, deadline) == std::cv_status::timeout) {
      if (received_.empty()) return std::nullopt;
    }
  }
}

bool TestNode::join_network(v1::Role role, const std::string& name) {
  v1::NodeMessage message;
  v1::NodeHello& hello = *message.mutable_hello();
  hello.set_protocol_version(kControlProtocolVersion);
  hello.set_software("test/1");
  hello.add_roles(role);
  hello.set_name(name);
  hello.set_upload_bps(50'000'000);
  hello.set_children_max(16);
  v1::Endpoint& endpoint = *hello.add_endpoints();
  endpoint.set_address("127.0.0.1");
  endpoint.set_port(7410);
  if (!send(message)) return false;
  return receive([](const auto& m) { return m.has_welcome(); }).has_value();
}

std::optional<grpc::Status> TestNode::wait_end(std::chrono::seconds limit) {
  std::unique_lock lock{mutex_};
  changed_.wait_for(lock, limit, [this] { return ended_.has_value(); });
  return ended_;
}

}  // namespace tayga::test
