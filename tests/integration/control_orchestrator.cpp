#include "tests/integration/control_orchestrator.hpp"

#include "common/async/clock.hpp"
#include "common/base/protocol.hpp"
#include "common/crypto/certificate.hpp"
#include "common/media/receipts.hpp"
#include "tayga/v1/control.grpc.pb.h"

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <mutex>
#include <stdexcept>

namespace tayga::test {

namespace {

using async::Clock;

std::int64_t unix_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::wall_now().time_since_epoch())
      .count();
}

NodeId to_node(const grpc::ServerContextBase& context) {
  const auto certificates = context.auth_context()->FindPropertyValues("x509_pem_cert");
  if (certificates.empty()) return {};
  const std::string pem{certificates[0].data(), certificates[0].size()};
  const auto key = crypto::certificate_public_key(pem);
  return key ? NodeId{*key} : NodeId{};
}

}  // namespace

TestCa::TestCa()
    : ca_key{crypto::SigningKey::generate()},
      root_key{crypto::SigningKey::generate()},
      online{crypto::SigningKey::generate()},
      pem{crypto::make_ca_certificate({ca_key, root_key.public_key()})},
      fingerprint{*crypto::certificate_fingerprint(pem)} {}

control::JoinUrl TestCa::join_url(std::uint16_t port) const {
  return {"127.0.0.1", port, fingerprint};
}

std::string TestCa::online_key(const crypto::SigningKey& root) const {
  constexpr std::int64_t kDayMs = 24LL * 3600 * 1000;
  media::OnlineKey key;
  key.key_id = 1;
  key.not_before_ms = unix_ms() - kDayMs;
  key.not_after_ms = unix_ms() + kDayMs;
  key.network = join_url(1).network_id();
  key.key = online.public_key();
  key.root = root.public_key();
  return std::string{as_text(media::sign_online_key(key, root))};
}

class TestOrchestrator::Service final : public v1::Control::Service {
 public:
  using Stream = grpc::ServerReaderWriter<v1::OrchestratorMessage, v1::NodeMessage>;

  Service(const TestCa& ca, std::uint16_t port) : ca_{ca}, forger_{crypto::SigningKey::generate()} {
    const auto server_key = crypto::SigningKey::generate();
    crypto::ServerCertificateRequest request{
        ca.ca_key, ca.pem, server_key.public_key(), kOrchestratorTlsName, unix_ms() / 1000 - 3600,
        30};
    grpc::SslServerCredentialsOptions ssl{
        GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_BUT_DONT_VERIFY};
    ssl.pem_key_cert_pairs.push_back(
        {crypto::to_pkcs8_pem(server_key), crypto::make_server_certificate(request) + ca.pem});
    ssl.pem_root_certs = ca.pem;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:" + std::to_string(port), grpc::SslServerCredentials(ssl),
                             &port_);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    if (!server_ || port_ == 0) throw std::runtime_error{"the test orchestrator cannot listen"};
  }

  ~Service() override {
    hold_back_reads(false);
    set_conduct(Conduct::welcomes);
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
  }

  grpc::Status Session(grpc::ServerContext* context, Stream* stream) override {
    unsigned session = 0;
    {
      const std::lock_guard lock{mutex_};
      session = ++sessions_;
      context_ = context;
      stream_ = stream;
    }
    serve(*context, *stream, session);
    const std::lock_guard lock{mutex_};
    if (context_ == context) {
      context_ = nullptr;
      stream_ = nullptr;
    }
    return grpc::Status::OK;
  }

  bool push(const v1::OrchestratorMessage& message) {
    const std::lock_guard lock{mutex_};
    return stream_ != nullptr && stream_->Write(message);
  }

  void cut_session() {
    const std::lock_guard lock{mutex_};
    if (context_ != nullptr) context_->TryCancel();
  }

  void set_conduct(Conduct conduct) {
    const std::lock_guard lock{mutex_};
    conduct_ = conduct;
    changed_.notify_all();
  }

  void hold_back_reads(bool held_back) {
    const std::lock_guard lock{mutex_};
    is_held_back_ = held_back;
    changed_.notify_all();
  }

  std::vector<Received> received() const {
    const std::lock_guard lock{mutex_};
    return received_;
  }

  unsigned sessions() const {
    const std::lock_guard lock{mutex_};
    return sessions_;
  }

  std::uint16_t port() const { return static_cast<std::uint16_t>(port_); }

 private:
  void serve(grpc::ServerContext& context, Stream& stream, unsigned session) {
    const NodeId node = to_node(context);
    v1::NodeMessage message;
    while (stream.Read(&message)) {
      const bool is_hello = message.has_hello();
      const bool is_goodbye = message.has_goodbye();
      Conduct conduct{};
      {
        std::unique_lock lock{mutex_};
        received_.push_back({node, session, message});
        conduct = conduct_;
        if (is_hello && conduct != Conduct::stays_silent) stream.Write(welcome(conduct));
        if (is_goodbye) changed_.wait(lock, [this] { return conduct_ != Conduct::hangs; });
        changed_.wait(lock, [this] { return !is_held_back_; });
      }
    }
  }

  v1::OrchestratorMessage welcome(Conduct conduct) const {
    v1::OrchestratorMessage message;
    v1::Welcome& out = *message.mutable_welcome();
    NetworkId network = ca_.join_url(1).network_id();
    if (conduct == Conduct::serves_other_network) network.bytes[0] ^= std::byte{1};
    out.set_network_id(std::string{as_text(network.view())});
    out.set_time_ms(static_cast<std::uint64_t>(unix_ms() + 5000));
    out.set_incarnation(42);
    out.set_telemetry_interval_ms(1000);
    out.set_receipt_submit_interval_ms(10'000);
    const bool is_forged = conduct == Conduct::presents_forged_key;
    out.add_online_keys(ca_.online_key(is_forged ? forger_ : ca_.root_key));
    out.set_observed_address(std::string{"\x7f\x00\x00\x01", 4});
    return message;
  }

  const TestCa& ca_;
  const crypto::SigningKey forger_;
  int port_ = 0;

  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  Conduct conduct_ = Conduct::welcomes;
  bool is_held_back_ = false;
  unsigned sessions_ = 0;
  grpc::ServerContext* context_ = nullptr;  // of the newest session
  Stream* stream_ = nullptr;
  std::vector<Received> received_;

  std::unique_ptr<grpc::Server> server_;
};

TestOrchestrator::TestOrchestrator(const TestCa& ca, std::uint16_t port)
    : service_{std::make_unique<Service>(ca, port)} {}
TestOrchestrator::~TestOrchestrator() = default;
std::uint16_t TestOrchestrator::port() const {
  return service_->port();
}
void TestOrchestrator::set_conduct(Conduct conduct) {
  service_->set_conduct(conduct);
}
void TestOrchestrator::hold_back_reads(bool held_back) {
  service_->hold_back_reads(held_back);
}
bool TestOrchestrator::push(const v1::OrchestratorMessage& message) {
  return service_->push(message);
}
std::vector<TestOrchestrator::Received> TestOrchestrator::received() const {
  return service_->received();
}
unsigned TestOrchestrator::sessions() const {
  return service_->sessions();
}
void TestOrchestrator::cut_session() {
  service_->cut_session();
}

}  // namespace tayga::test
