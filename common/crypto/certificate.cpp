#include "common/crypto/certificate.hpp"

#include "common/base/encoding.hpp"
#include "common/crypto/openssl.hpp"

#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <ctime>
#include <string_view>

namespace tayga::crypto {
namespace {

using openssl::ErrorQueueGuard;
using openssl::PkeyPtr;
using openssl::X509Ptr;

constexpr std::size_t kCommonNameSizeMax = 64;  // RFC 5280, ub-common-name
constexpr std::string_view kRootKeyPrefix = "tayga root ";
constexpr const char* kOrchestratorName = "tayga orchestrator";
constexpr const char* kBeginningOfTime = "19700101000000Z";
constexpr const char* kEndOfTime = "20991231235959Z";

// What the builders below do fails only when memory ends or on a mistake of ours.
void must(int result) noexcept {
  TAYGA_CHECK(result == 1);
}

/// Serial numbers from what makes a certificate unique, so the same request gives the same bytes.
void set_serial(X509* certificate, ByteView distinguishing) {
  Sha256Digest digest = sha256(distinguishing);
  digest[0] &= std::byte{0x7f};  // positive
  digest[0] |= std::byte{0x40};  // and never zero
  std::uint64_t serial = 0;
  for (std::size_t i = 0; i < sizeof serial; ++i) {
    serial = serial << 8 | std::to_integer<std::uint64_t>(digest[i]);
  }
  must(ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial));
}

void set_common_name(X509_NAME* name, std::string_view text) {
  TAYGA_CHECK(!text.empty() && text.size() <= kCommonNameSizeMax);
  must(X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, as_uchar(as_bytes(text)),
                                  static_cast<int>(text.size()), -1, 0));
}

void set_forever(X509* certificate) {
  must(ASN1_TIME_set_string_X509(X509_getm_notBefore(certificate), kBeginningOfTime));
  must(ASN1_TIME_set_string_X509(X509_getm_notAfter(certificate), kEndOfTime));
}

void add_extension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const openssl::ExtensionPtr extension{X509V3_EXT_conf_nid(nullptr, &context, nid, value)};
  TAYGA_CHECK(extension != nullptr);
  must(X509_add_ext(certificate, extension.get(), -1));
}

X509Ptr new_certificate() {
  X509Ptr certificate{X509_new()};
  TAYGA_CHECK(certificate != nullptr);
  must(X509_set_version(certificate.get(), X509_VERSION_3));
  return certificate;
}

void sign(X509* certificate, EVP_PKEY* key) {
  TAYGA_CHECK(X509_sign(certificate, key, nullptr) > 0);  // returns the signature's size
}

std::string to_pem(X509* certificate) {
  const openssl::BioPtr bio = openssl::memory_bio();
  must(PEM_write_bio_X509(bio.get(), certificate));
  return openssl::text_of(bio);
}

X509Ptr make_self_issued(const SigningKey& key, std::string_view common_name) {
  X509Ptr certificate = new_certificate();
  set_serial(certificate.get(), key.public_key());
  set_forever(certificate.get());
  X509_NAME* name = X509_get_subject_name(certificate.get());
  set_common_name(name, common_name);
  must(X509_set_issuer_name(certificate.get(), name));
  must(X509_set_pubkey(certificate.get(), openssl::to_pkey(key).get()));
  return certificate;
}

/// The first certificate block exactly as it was sent: a fingerprint over a re-encoding could
/// differ from what the other side hashed.
Bytes first_der(std::string_view pem) {
  const openssl::BioPtr bio = openssl::read_from(pem);
  unsigned char* data = nullptr;
  long size = 0;
  if (PEM_bytes_read_bio(&data, &size, nullptr, PEM_STRING_X509, bio.get(), nullptr, nullptr) !=
      1) {
    return {};
  }
  const auto* begin = reinterpret_cast<const std::byte*>(data);
  Bytes der{begin, begin + size};
  OPENSSL_free(data);
  return der;
}

X509Ptr parse_der(ByteView der) {
  const unsigned char* at = as_uchar(der);
  X509Ptr certificate{d2i_X509(nullptr, &at, static_cast<long>(der.size()))};
  if (certificate != nullptr && at != as_uchar(der) + der.size()) return nullptr;
  return certificate;
}

std::optional<PublicKey> ed25519_key(const EVP_PKEY* pkey) {
  if (pkey == nullptr || EVP_PKEY_get_base_id(pkey) != EVP_PKEY_ED25519) return std::nullopt;
  PublicKey key;
  std::size_t size = key.size();
  if (EVP_PKEY_get_raw_public_key(pkey, reinterpret_cast<unsigned char*>(key.data()), &size) != 1 ||
      size != key.size()) {
    return std::nullopt;
  }
  return key;
}

/// A subject alternative name built from values: a name with a comma stays one name.
bool add_alternative_name(X509* certificate, const std::string& host) {
  GENERAL_NAME* name = GENERAL_NAME_new();
  GENERAL_NAMES* names = GENERAL_NAMES_new();
  TAYGA_CHECK(name != nullptr && names != nullptr && sk_GENERAL_NAME_push(names, name) > 0);
  if (ASN1_OCTET_STRING* address = a2i_IPADDRESS(host.c_str())) {
    GENERAL_NAME_set0_value(name, GEN_IPADD, address);
  } else {
    ASN1_IA5STRING* dns = ASN1_IA5STRING_new();
    TAYGA_CHECK(dns != nullptr);
    must(ASN1_STRING_set(dns, host.data(), static_cast<int>(host.size())));
    GENERAL_NAME_set0_value(name, GEN_DNS, dns);
  }
  const int added =
      X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT);
  GENERAL_NAMES_free(names);
  return added == 1;
}

bool set_validity(X509* certificate, const ServerCertificateRequest& request) {
  // Offsets in days keep every step inside int and time_t.
  const auto begin = static_cast<time_t>(request.not_before_unix_s);
  return ASN1_TIME_set(X509_getm_notBefore(certificate), begin) != nullptr &&
         ASN1_TIME_adj(X509_getm_notAfter(certificate), begin, request.days, 0) != nullptr;
}

bool is_host_name(std::string_view name) {
  constexpr std::size_t kHostNameSizeMax = 253;  // RFC 1035 in text form
  const auto allowed = [](char c) { return c > ' ' && c < '\x7f'; };
  return !name.empty() && name.size() <= kHostNameSizeMax && std::ranges::all_of(name, allowed);
}

}  // namespace

std::string make_self_signed_certificate(const SigningKey& key, const std::string& common_name) {
  const ErrorQueueGuard guard;
  const X509Ptr certificate = make_self_issued(key, common_name);
  sign(certificate.get(), openssl::to_pkey(key).get());
  return to_pem(certificate.get());
}

std::string make_ca_certificate(const CaRequest& request) {
  const ErrorQueueGuard guard;
  const std::string name = std::string{kRootKeyPrefix} + to_base32(request.root_key);
  const X509Ptr certificate = make_self_issued(request.ca_key, name);
  X509* const x509 = certificate.get();
  add_extension(x509, x509, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  add_extension(x509, x509, NID_key_usage, "critical,keyCertSign");
  add_extension(x509, x509, NID_subject_key_identifier, "hash");
  sign(x509, openssl::to_pkey(request.ca_key).get());
  return to_pem(x509);
}

std::string make_server_certificate(const ServerCertificateRequest& request) {
  const ErrorQueueGuard guard;
  const X509Ptr ca = parse_der(first_der(request.ca_certificate_pem));
  if (ca == nullptr || ed25519_key(X509_get0_pubkey(ca.get())) != request.ca_key.public_key()) {
    return {};
  }
  if (!is_host_name(request.dns_name) || request.days <= 0) return {};

  const X509Ptr certificate = new_certificate();
  X509* const x509 = certificate.get();
  if (!set_validity(x509, request)) return {};
  const std::string distinguishing = std::string{as_text(request.server_key)} + request.dns_name +
                                     std::to_string(request.not_before_unix_s) + "+" +
                                     std::to_string(request.days);
  set_serial(x509, as_bytes(distinguishing));
  must(X509_set_issuer_name(x509, X509_get_subject_name(ca.get())));
  set_common_name(X509_get_subject_name(x509), kOrchestratorName);
  const PkeyPtr server_key{EVP_PKEY_new_raw_public_key(
      EVP_PKEY_ED25519, nullptr, as_uchar(request.server_key), request.server_key.size())};
  TAYGA_CHECK(server_key != nullptr);
  must(X509_set_pubkey(x509, server_key.get()));

  add_extension(x509, ca.get(), NID_basic_constraints, "critical,CA:FALSE");
  add_extension(x509, ca.get(), NID_key_usage, "critical,digitalSignature");
  add_extension(x509, ca.get(), NID_ext_key_usage, "serverAuth");
  add_extension(x509, ca.get(), NID_subject_key_identifier, "hash");
  add_extension(x509, ca.get(), NID_authority_key_identifier, "keyid:always");
  if (!add_alternative_name(x509, request.dns_name)) return {};
  sign(x509, openssl::to_pkey(request.ca_key).get());
  return to_pem(x509);
}

std::optional<PublicKey> certificate_public_key(const std::string& pem) {
  const ErrorQueueGuard guard;
  const X509Ptr certificate = parse_der(first_der(pem));
  if (certificate == nullptr) return std::nullopt;
  return ed25519_key(X509_get0_pubkey(certificate.get()));
}

std::optional<PublicKey> ca_root_key(const std::string& pem) {
  const ErrorQueueGuard guard;
  const X509Ptr certificate = parse_der(first_der(pem));
  if (certificate == nullptr) return std::nullopt;
  const X509_NAME* name = X509_get_subject_name(certificate.get());
  const int index = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  if (index < 0) return std::nullopt;
  const ASN1_STRING* text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index));
  std::string_view common_name{reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                               static_cast<std::size_t>(ASN1_STRING_length(text))};
  if (!common_name.starts_with(kRootKeyPrefix)) return std::nullopt;
  common_name.remove_prefix(kRootKeyPrefix.size());
  const auto id = id_from_string<NodeId>(common_name);
  if (!id) return std::nullopt;
  return id->bytes;
}

Bytes certificate_der(const std::string& pem) {
  const ErrorQueueGuard guard;
  Bytes der = first_der(pem);
  if (parse_der(der) == nullptr) return {};
  return der;
}

std::string certificate_pem(ByteView der) {
  const ErrorQueueGuard guard;
  const X509Ptr certificate = parse_der(der);
  if (certificate == nullptr) return {};
  const openssl::BioPtr bio = openssl::memory_bio();
  TAYGA_CHECK(PEM_write_bio(bio.get(), PEM_STRING_X509, "", as_uchar(der),
                            static_cast<long>(der.size())) > 0);
  return openssl::text_of(bio);
}

std::optional<Sha256Digest> certificate_fingerprint(const std::string& pem) {
  const Bytes der = certificate_der(pem);
  if (der.empty()) return std::nullopt;
  return sha256(der);
}

}  // namespace tayga::crypto
