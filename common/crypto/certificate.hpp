#pragma once

#include "common/base/bytes.hpp"
#include "common/crypto/ed25519.hpp"
#include "common/crypto/hash.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace tayga::crypto {

/// A self-signed Ed25519 X.509 certificate for a node's TLS sessions, PEM. The key is the identity:
/// names and dates carry no meaning (valid 1970..2099), peers compare the public key only. The same
/// key and name give the same bytes. Pre: 1..64 bytes of UTF-8 in `common_name`.
std::string make_self_signed_certificate(const SigningKey& key, const std::string& common_name);

/// What a network CA certificate says. The CA's certificate is self-signed by the CA key and names
/// the network's root key in its common name ("tayga root " + base32, 63 of the 64 characters that
/// X.509 allows), so the join URL's fingerprint pins both. The same keys give the same bytes.
struct CaRequest {
  const SigningKey& ca_key;
  PublicKey root_key;
};
std::string make_ca_certificate(const CaRequest& request);
/// A server certificate for the orchestrator, issued by the CA, valid `days` from
/// `not_before_unix_s`. Empty when ca_certificate_pem is not a certificate of ca_key, dns_name is
/// no DNS name or IP address, or the dates are impossible.
struct ServerCertificateRequest {
  const SigningKey& ca_key;
  std::string ca_certificate_pem;
  PublicKey server_key;
  std::string dns_name;
  std::int64_t not_before_unix_s;
  int days;
};
std::string make_server_certificate(const ServerCertificateRequest& request);

/// The key as PKCS#8 PEM text, for libraries that take keys as PEM (gRPC). Secret.
std::string to_pkcs8_pem(const SigningKey& key);

/// Public key of an Ed25519 certificate in PEM; nullopt for anything else.
std::optional<PublicKey> certificate_public_key(const std::string& pem);
/// The root key named by a CA certificate; nullopt when it names none.
std::optional<PublicKey> ca_root_key(const std::string& pem);
/// DER of the first certificate in `pem`; empty when there is none.
Bytes certificate_der(const std::string& pem);
/// Empty when `der` is not exactly one certificate.
std::string certificate_pem(ByteView der);
/// SHA-256 of the certificate's DER.
std::optional<Sha256Digest> certificate_fingerprint(const std::string& pem);

}  // namespace tayga::crypto
