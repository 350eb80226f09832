#pragma once

#include "common/base/ids.hpp"

#include <optional>
#include <string>

namespace tayga::orch {

/// What a peer proved in its TLS handshake.
struct PeerCredentials {
  std::string certificate_pem;  ///< possession of its key is proven, nothing in it is
};

/// Turns credentials into the one identity that the rest of the process believes.
class Authenticator {
 public:
  virtual ~Authenticator() = default;
  /// nullopt: refuse the session. Called on gateway threads.
  [[nodiscard]] virtual std::optional<NodeId> authenticate(const PeerCredentials& peer) const = 0;
};

/// A node is the Ed25519 key of its self-signed certificate; names and dates in it mean nothing.
class CertificateAuthenticator final : public Authenticator {
 public:
  [[nodiscard]] std::optional<NodeId> authenticate(const PeerCredentials& peer) const override;
};

}  // namespace tayga::orch
