#include "tests/bench/initial_forge.hpp"

#include "common/base/check.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>

namespace tayga::bench {
namespace {

constexpr std::size_t kInitialSize = 1200;
constexpr std::size_t kIdSize = 8;
constexpr std::size_t kNumberSize = 4;
constexpr std::size_t kTag = 16;
constexpr std::size_t kSecretSize = 32;

// RFC 9001, 5.2
constexpr std::array<unsigned char, 20> kInitialSalt{0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34,
                                                     0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8,
                                                     0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a};

void put(Bytes& out, std::uint64_t value, std::size_t size) {
  for (std::size_t i = size; i > 0; --i) {
    out.push_back(static_cast<std::byte>(value >> (8 * (i - 1)) & 0xffU));
  }
}
void put(Bytes& out, ByteView bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}
/// A QUIC variable-length integer of two bytes.
void put_varint2(Bytes& out, std::size_t value) {
  put(out, 0x4000U | value, 2);
}
/// A TLS extension or anything else behind a type and a 16-bit size.
void put_extension(Bytes& out, std::uint16_t type, ByteView body) {
  put(out, type, 2);
  put(out, body.size(), 2);
  put(out, body);
}

Bytes hmac(ByteView key, ByteView text) {
  Bytes out(kSecretSize);
  unsigned size = 0;
  TAYGA_CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), as_uchar(text),
                   text.size(), reinterpret_cast<unsigned char*>(out.data()), &size) != nullptr);
  return out;
}

/// HKDF-Expand-Label with an empty context, for at most one block (RFC 8446, 7.1).
Bytes expand_label(ByteView secret, std::string_view label, std::size_t size) {
  constexpr std::string_view kPrefix = "tls13 ";
  Bytes info;
  put(info, size, 2);
  put(info, kPrefix.size() + label.size(), 1);
  put(info, as_bytes(kPrefix));
  put(info, as_bytes(label));
  put(info, 0, 1);
  put(info, 1, 1);
  Bytes out = hmac(secret, info);
  out.resize(size);
  return out;
}

using Cipher = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

/// Packet number 0: the nonce is the IV itself.
Bytes seal(ByteView key, ByteView iv, ByteView header, ByteView plain) {
  const Cipher context{EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free};
  Bytes out(plain.size() + kTag);
  auto* to = reinterpret_cast<unsigned char*>(out.data());
  int size = 0;
  TAYGA_CHECK(
      EVP_EncryptInit_ex(context.get(), EVP_aes_128_gcm(), nullptr, as_uchar(key), as_uchar(iv)) ==
          1 &&
      EVP_EncryptUpdate(context.get(), nullptr, &size, as_uchar(header),
                        static_cast<int>(header.size())) == 1 &&
      EVP_EncryptUpdate(context.get(), to, &size, as_uchar(plain),
                        static_cast<int>(plain.size())) == 1 &&
      EVP_EncryptFinal_ex(context.get(), to + size, &size) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kTag, to + plain.size()) == 1);
  return out;
}

void protect_header(Bytes& packet, std::size_t number_at, ByteView key) {
  const Cipher context{EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free};
  std::array<unsigned char, 32> mask{};
  int size = 0;
  const ByteView sample = ByteView{packet}.subspan(number_at + 4, 16);
  TAYGA_CHECK(
      EVP_EncryptInit_ex(context.get(), EVP_aes_128_ecb(), nullptr, as_uchar(key), nullptr) == 1 &&
      EVP_EncryptUpdate(context.get(), mask.data(), &size, as_uchar(sample), 16) == 1);
  packet[0] ^= static_cast<std::byte>(mask[0] & 0x0fU);
  for (std::size_t i = 0; i < kNumberSize; ++i) {
    packet[number_at + i] ^= static_cast<std::byte>(mask[i + 1]);
  }
}

}  // namespace

Bytes InitialForge::random_bytes(std::size_t size) {
  Bytes out(size);
  for (std::byte& b : out) b = static_cast<std::byte>(random_() & 0xffU);
  return out;
}

Bytes InitialForge::client_hello(ByteView source_id) {
  Bytes extensions;
  Bytes body;
  put(body, 2, 2);
  put(body, 0x001d, 2);  // X25519
  put_extension(extensions, 10, body);
  body.clear();
  put(body, 2, 2);
  put(body, 0x0807, 2);  // Ed25519
  put_extension(extensions, 13, body);
  body.clear();
  constexpr std::string_view kAlpn = "tayga/1";
  put(body, kAlpn.size() + 1, 2);
  put(body, kAlpn.size(), 1);
  put(body, as_bytes(kAlpn));
  put_extension(extensions, 16, body);
  body.clear();
  put(body, 2, 1);
  put(body, 0x0304, 2);  // TLS 1.3
  put_extension(extensions, 43, body);
  body.clear();
  put(body, 36, 2);
  put_extension(body, 0x001d, random_bytes(32));  // a key share
  put_extension(extensions, 51, body);
  body.clear();
  put(body, 0x0f, 1);  // initial_source_connection_id
  put(body, source_id.size(), 1);
  put(body, source_id);
  put_extension(extensions, 57, body);

  Bytes hello;
  put(hello, 0x0303, 2);
  put(hello, random_bytes(32));
  put(hello, 0, 1);       // no session id
  put(hello, 2, 2);       // one cipher suite:
  put(hello, 0x1301, 2);  // TLS_AES_128_GCM_SHA256
  put(hello, 0x0100, 2);  // no compression
  put(hello, extensions.size(), 2);
  put(hello, extensions);
  Bytes message;
  put(message, 1, 1);
  put(message, hello.size(), 3);
  put(message, hello);
  return message;
}

//  | 0xc3 | version 4 | 8 | destination id | 8 | source id | 0 | length 2 | number 4 | sealed ... |
Bytes InitialForge::make() {
  const Bytes destination_id = random_bytes(kIdSize);
  const Bytes source_id = random_bytes(kIdSize);
  Bytes packet;
  put(packet, 0xc3, 1);  // long header, Initial, a packet number of four bytes
  put(packet, 1, 4);
  put(packet, kIdSize, 1);
  put(packet, destination_id);
  put(packet, kIdSize, 1);
  put(packet, source_id);
  put(packet, 0, 1);  // no token
  const std::size_t number_at = packet.size() + 2;
  put_varint2(packet, kInitialSize - number_at);
  put(packet, 0, kNumberSize);

  const Bytes hello = client_hello(source_id);
  Bytes plain;
  put(plain, 0x06, 1);  // CRYPTO at offset 0
  put(plain, 0, 1);
  put_varint2(plain, hello.size());
  put(plain, hello);
  plain.resize(kInitialSize - packet.size() - kTag);  // PADDING

  const Bytes initial = hmac(std::as_bytes(std::span{kInitialSalt}), destination_id);
  const Bytes client = expand_label(initial, "client in", kSecretSize);
  const Bytes sealed = seal(expand_label(client, "quic key", 16),
                            expand_label(client, "quic iv", 12), packet, plain);
  put(packet, sealed);
  protect_header(packet, number_at, expand_label(client, "quic hp", 16));
  return packet;
}

}  // namespace tayga::bench
