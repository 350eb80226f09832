#include "common/crypto/ed25519.hpp"

#include "common/base/encoding.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seeded_random.hpp"

#include <array>
#include <string_view>
#include <utility>

namespace tayga::crypto {
namespace {

SigningKey key_from_hex(std::string_view seed_hex) {
  const Bytes seed = from_hex(seed_hex).value();
  return SigningKey::from_seed(std::span<const std::byte, 32>{seed});
}

struct Rfc8032Case {
  std::string_view seed;
  std::string_view public_key;
  std::string_view message;
  std::string_view signature;
};

// RFC 8032, section 7.1, tests 1, 2, 3 and SHA(abc).
constexpr std::array kRfc8032Cases{
    Rfc8032Case{
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701c"
        "f9b46bd25bf5f0595bbe24655141438e7a100b"},
    Rfc8032Case{
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0"
        "f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
    Rfc8032Case{
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f76098"
        "4dc6594a7c15e9716ed28dc027beceea1ec40a"},
    Rfc8032Case{
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3"
        "feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c664"
        "31e0303dca179c138ac17ad9bef1177331a704"}};

TEST_CASE("a key made from an RFC 8032 seed has its public key and its signatures") {
  for (const Rfc8032Case& c : kRfc8032Cases) {
    const SigningKey key = key_from_hex(c.seed);
    const Bytes message = from_hex(c.message).value();
    CHECK(to_hex(key.public_key()) == c.public_key);
    CHECK(to_hex(key.sign(message)) == c.signature);
    CHECK(verify(key.public_key(), message, from_hex(c.signature).value()));
  }
}

TEST_CASE("a signature with any bit flipped, or over other bytes, does not verify") {
  TAYGA_SEEDED_RANDOM(random, 11);
  const SigningKey key = SigningKey::generate();
  const Bytes message = random.bytes(200);
  const Signature signature = key.sign(message);
  REQUIRE(verify(key.public_key(), message, signature));
  for (int i = 0; i < 100; ++i) {
    Signature bad_signature = signature;
    bad_signature[random.index(64)] ^= static_cast<std::byte>(1U << random.index(8));
    CHECK_FALSE(verify(key.public_key(), message, bad_signature));
    Bytes bad_message = message;
    bad_message[random.index(200)] ^= static_cast<std::byte>(1U << random.index(8));
    CHECK_FALSE(verify(key.public_key(), bad_message, signature));
  }
  CHECK_FALSE(verify(SigningKey::generate().public_key(), message, signature));
}

TEST_CASE("a signature of the wrong size is refused without being read") {
  const SigningKey key = SigningKey::generate();
  const Bytes message(10);
  const Signature signature = key.sign(message);
  Bytes longer{signature.begin(), signature.end()};
  longer.push_back(std::byte{0});
  CHECK_FALSE(verify(key.public_key(), message, {}));
  CHECK_FALSE(verify(key.public_key(), message, ByteView{signature}.first(63)));
  CHECK_FALSE(verify(key.public_key(), message, longer));
}

TEST_CASE("a public key of small order verifies nothing") {
  const PublicKey zero{};
  PublicKey one{};
  one[0] = std::byte{1};  // the neutral element: would accept any message with S = 0, R = 1
  Signature forged{};
  forged[0] = std::byte{1};
  CHECK_FALSE(verify(zero, as_bytes("anything"), forged));
  CHECK_FALSE(verify(one, as_bytes("anything"), forged));
}

TEST_CASE("a key gives back its seed, and moving it leaves nothing behind") {
  SigningKey first = SigningKey::generate();
  const auto seed = first.seed();
  const PublicKey public_key = first.public_key();
  SigningKey second = std::move(first);
  CHECK(second.seed() == seed);
  CHECK(second.public_key() == public_key);
  CHECK(first.seed() == std::array<std::byte, 32>{});  // NOLINT(bugprone-use-after-move)
  first = std::move(second);
  CHECK(first.seed() == seed);
  CHECK(SigningKey::from_seed(seed).public_key() == public_key);
}

TEST_CASE("two generated keys differ") {
  CHECK(SigningKey::generate().public_key() != SigningKey::generate().public_key());
}

}  // namespace
}  // namespace tayga::crypto
