#pragma once

#include "common/crypto/ed25519.hpp"
#include "common/grpc/grpc_runtime.hpp"

#include <grpcpp/grpcpp.h>
#include <tayga/v1/control.grpc.pb.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace tayga::test {

struct ClientCredentials {
  std::string ca_pem;
  std::string key_pem;
  std::string certificate_pem;
};
/// Those of a node with this key, in the network of `state`.
ClientCredentials node_credentials(const std::string& state, const crypto::SigningKey& key);

/// A node as the orchestrator sees it: one session, messages as they are on the wire.
class TestNode {
 public:
  enum class Reading { started, stalled /**< never reads */ };
  TestNode(const std::string& address, const ClientCredentials& credentials,
           Reading reading = Reading::started);
  ~TestNode();
  TestNode(const TestNode&) = delete;
  TestNode& operator=(const TestNode&) = delete;

  bool send(const v1::NodeMessage& message);
  /// The next message that fits; others are skipped. nullopt: none in time, or the stream ended.
  using Wanted = std::function<bool(const v1::OrchestratorMessage&)>;
  std::optional<v1::OrchestratorMessage> receive(const Wanted& wanted,
                                                 std::chrono::seconds limit = std::chrono::seconds{
                                                     20});
  /// hello, then welcome.
  bool join_network(v1::Role role, const std::string& name);
  /// The status with which the stream ended; nullopt when it has not within `limit`.
  std::optional<grpc::Status> wait_end(std::chrono::seconds limit = std::chrono::seconds{20});

 private:
  void run_reader();

  const GrpcRuntime runtime_;  // first made, last gone
  grpc::ClientContext context_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Control::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::NodeMessage, v1::OrchestratorMessage>> stream_;
  std::mutex mutex_;  // guards the next three
  std::deque<v1::OrchestratorMessage> received_;
  std::optional<grpc::Status> ended_;
  std::condition_variable changed_;
  std::thread reader_;
};

}  // namespace tayga::test
