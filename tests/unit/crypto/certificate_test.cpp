#include "common/crypto/certificate.hpp"

#include "common/base/encoding.hpp"
#include "tests/support/catch.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

namespace tayga::crypto {
namespace {

constexpr std::int64_t kNow = 1'790'000'000;  // Unix seconds

template <class T, void (*Free)(T*)>
struct Freed {
  void operator()(T* object) const { Free(object); }
};
using X509Ptr = std::unique_ptr<X509, Freed<X509, X509_free>>;
using StorePtr = std::unique_ptr<X509_STORE, Freed<X509_STORE, X509_STORE_free>>;
using StoreContextPtr = std::unique_ptr<X509_STORE_CTX, Freed<X509_STORE_CTX, X509_STORE_CTX_free>>;

X509Ptr parse(const std::string& pem) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509Ptr certificate{PEM_read_bio_X509(bio, nullptr, nullptr, nullptr)};
  BIO_free(bio);
  REQUIRE(certificate != nullptr);
  return certificate;
}

/// What a TLS client does with pem_root_certs: X509_V_OK or the error.
int verify_server(const std::string& root_pem, const std::string& server_pem,
                  const std::string& host, std::int64_t at_unix_s) {
  const X509Ptr root = parse(root_pem);
  const X509Ptr server = parse(server_pem);
  const StorePtr store{X509_STORE_new()};
  REQUIRE(X509_STORE_add_cert(store.get(), root.get()) == 1);
  const StoreContextPtr context{X509_STORE_CTX_new()};
  REQUIRE(X509_STORE_CTX_init(context.get(), store.get(), server.get(), nullptr) == 1);
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(param, static_cast<time_t>(at_unix_s));
  X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
  X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
  if (X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str()) != 1) {
    X509_VERIFY_PARAM_set1_host(param, host.c_str(), host.size());
  }
  ERR_clear_error();
  return X509_verify_cert(context.get()) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(context.get());
}

struct Network {
  SigningKey root_key = SigningKey::generate();
  SigningKey ca_key = SigningKey::generate();
  SigningKey server_key = SigningKey::generate();
  std::string ca_pem = make_ca_certificate(CaRequest{ca_key, root_key.public_key()});

  [[nodiscard]] std::string server_pem(const std::string& dns_name, int days = 30) const {
    return make_server_certificate(
        ServerCertificateRequest{ca_key, ca_pem, server_key.public_key(), dns_name, kNow, days});
  }
};

TEST_CASE("a self-signed certificate carries the node's key and is the same every time") {
  const SigningKey key = SigningKey::generate();
  const std::string pem = make_self_signed_certificate(key, to_string(key.node_id()));
  CHECK(certificate_public_key(pem) == key.public_key());
  CHECK(make_self_signed_certificate(key, to_string(key.node_id())) == pem);
  const X509Ptr certificate = parse(pem);
  CHECK(X509_verify(certificate.get(), X509_get0_pubkey(certificate.get())) == 1);
  CHECK_FALSE(ca_root_key(pem).has_value());
}

TEST_CASE("a CA certificate names the root key and is the same every time") {
  const Network network;
  CHECK(ca_root_key(network.ca_pem) == network.root_key.public_key());
  CHECK(certificate_public_key(network.ca_pem) == network.ca_key.public_key());
  CHECK(make_ca_certificate(CaRequest{network.ca_key, network.root_key.public_key()}) ==
        network.ca_pem);
  CHECK(X509_check_ca(parse(network.ca_pem).get()) == 1);
}

TEST_CASE("a server certificate is accepted with the CA as the only root, for its name and time") {
  const Network network;
  const std::string pem = network.server_pem("orchestrator.example");
  REQUIRE(certificate_public_key(pem) == network.server_key.public_key());
  CHECK(verify_server(network.ca_pem, pem, "orchestrator.example", kNow + 1) == X509_V_OK);
  CHECK(verify_server(network.ca_pem, pem, "other.example", kNow + 1) ==
        X509_V_ERR_HOSTNAME_MISMATCH);
  CHECK(verify_server(network.ca_pem, pem, "orchestrator.example", kNow - 1) ==
        X509_V_ERR_CERT_NOT_YET_VALID);
  CHECK(verify_server(network.ca_pem, pem, "orchestrator.example", kNow + 31 * 86'400) ==
        X509_V_ERR_CERT_HAS_EXPIRED);
}

TEST_CASE("a server certificate of another CA is refused, even one with the same name") {
  const Network network;
  const Network stranger;
  const SigningKey fake_ca_key = SigningKey::generate();
  const std::string fake_ca =
      make_ca_certificate(CaRequest{fake_ca_key, network.root_key.public_key()});
  const std::string fake = make_server_certificate(ServerCertificateRequest{
      fake_ca_key, fake_ca, network.server_key.public_key(), "host", kNow, 30});
  CHECK(verify_server(network.ca_pem, stranger.server_pem("host"), "host", kNow + 1) != X509_V_OK);
  CHECK(verify_server(network.ca_pem, fake, "host", kNow + 1) != X509_V_OK);
}

TEST_CASE("an address in place of a DNS name becomes an address, and a comma adds no second name") {
  const Network network;
  for (const std::string host : {"127.0.0.1", "::1"}) {
    const std::string pem = network.server_pem(host);
    CHECK(verify_server(network.ca_pem, pem, host, kNow + 1) == X509_V_OK);
    CHECK(verify_server(network.ca_pem, pem, "127.0.0.2", kNow + 1) ==
          X509_V_ERR_IP_ADDRESS_MISMATCH);
  }
  const std::string sly = network.server_pem("a.example,DNS:bank.example");
  CHECK(verify_server(network.ca_pem, sly, "bank.example", kNow + 1) != X509_V_OK);
}

TEST_CASE("a server certificate is not made from a CA, name or term that cannot work") {
  const Network network;
  const Network other;
  const auto made = [&](const std::string& ca_pem, const std::string& name, int days) {
    return make_server_certificate(ServerCertificateRequest{
        network.ca_key, ca_pem, network.server_key.public_key(), name, kNow, days});
  };
  CHECK(made(other.ca_pem, "host", 30).empty());
  CHECK(made("not a certificate", "host", 30).empty());
  CHECK(made(network.ca_pem, "", 30).empty());
  CHECK(made(network.ca_pem, "a b", 30).empty());
  CHECK(made(network.ca_pem, std::string(254, 'a'), 30).empty());
  CHECK(made(network.ca_pem, "host", 0).empty());
  CHECK_FALSE(made(network.ca_pem, "host", 1).empty());
}

TEST_CASE("PEM and DER lead to each other, and the fingerprint is over the DER") {
  const Network network;
  const Bytes der = certificate_der(network.ca_pem);
  REQUIRE_FALSE(der.empty());
  CHECK(certificate_pem(der) == network.ca_pem);
  CHECK(certificate_fingerprint(network.ca_pem) == sha256(der));
  CHECK(certificate_fingerprint(network.server_pem("x") + network.ca_pem) !=
        certificate_fingerprint(network.ca_pem));  // the first one counts
}

TEST_CASE("what is no certificate is refused and leaves OpenSSL's error queue empty") {
  const Network network;
  Bytes longer = certificate_der(network.ca_pem);
  longer.push_back(std::byte{0});
  ERR_clear_error();
  CHECK(certificate_pem(longer).empty());
  CHECK(certificate_pem({}).empty());
  for (const std::string& text : {std::string{}, std::string{"text"}, network.ca_pem.substr(0, 99),
                                  to_pkcs8_pem(network.ca_key)}) {
    CHECK_FALSE(certificate_public_key(text).has_value());
    CHECK_FALSE(ca_root_key(text).has_value());
    CHECK_FALSE(certificate_fingerprint(text).has_value());
    CHECK(certificate_der(text).empty());
  }
  CHECK(ERR_peek_error() == 0);
}

TEST_CASE("a certificate cut short anywhere is refused") {
  const SigningKey key = SigningKey::generate();
  const Bytes der = certificate_der(make_self_signed_certificate(key, "node"));
  for (std::size_t size = 0; size < der.size(); ++size) {
    CHECK(certificate_pem(ByteView{der}.first(size)).empty());
  }
  CHECK_FALSE(certificate_pem(der).empty());
}

}  // namespace
}  // namespace tayga::crypto
