#include "orchestrator/rpc/authenticator.hpp"

#include "common/crypto/certificate.hpp"

namespace tayga::orch {

std::optional<NodeId> CertificateAuthenticator::authenticate(const PeerCredentials& peer) const {
  const auto key = crypto::certificate_public_key(peer.certificate_pem);
  if (!key) return std::nullopt;
  return NodeId{*key};
}

}  // namespace tayga::orch
