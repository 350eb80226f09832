#pragma once

#include "orchestrator/rpc/authenticator.hpp"
#include "orchestrator/rpc/node_gateway.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace tayga::orch {

struct GrpcGatewayOptions {
  std::string listen;  ///< "127.0.0.1:7400" or "[::1]:7400"; port 0 takes a free one
  std::string server_key_pem;
  std::string certificate_chain_pem;  ///< the server's, then the network CA's, which nodes pin
};

/// Sessions over grpc++'s callback API, TLS with a client certificate that is always asked for.
///
/// Threads: gRPC's own deliver to the sink; one pump thread serializes and writes, so that push()
/// costs its caller a queue only, and looks after sessions whose peer stalls.
class GrpcGateway final : public NodeGateway {
 public:
  /// `authenticator` outlives the gateway.
  GrpcGateway(GrpcGatewayOptions options, const Authenticator& authenticator);
  ~GrpcGateway() override;  ///< drains without grace when it still listens

  [[nodiscard]] std::optional<std::string> accept(NodeSink& sink) override;
  void push(SessionId session, OrchestratorEvent event) override;
  void close(SessionId session, CloseReason reason, const std::string& message) override;
  void drain(Duration grace) override;
  [[nodiscard]] GatewayStats stats() const override;
  [[nodiscard]] std::uint16_t port() const override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tayga::orch
