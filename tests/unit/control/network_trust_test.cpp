#include "daemon/control/network_trust.hpp"

#include "common/crypto/certificate.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary_folder.hpp"

#include <fstream>

namespace tayga::control {
namespace {

constexpr WallTime kNow{std::chrono::seconds{1'800'000'000}};

crypto::SigningKey key_of(unsigned char seed) {
  crypto::init();
  std::array<std::byte, 32> bytes{};
  bytes.fill(std::byte{seed});
  return crypto::SigningKey::from_seed(bytes);
}

struct Network {
  crypto::SigningKey ca_key = key_of(1);
  crypto::SigningKey root_key = key_of(2);
  std::string pem = crypto::make_ca_certificate({ca_key, root_key.public_key()});
  Bytes der = crypto::certificate_der(pem);
  crypto::Sha256Digest fingerprint = crypto::sha256(der);
  test::TemporaryFolder folder;

  NetworkTrust adopt() {
    const std::vector<Bytes> chain{Bytes(100), der};
    const auto adopted = adopt_network_ca(folder.path(), fingerprint, chain);
    if (const auto* error = std::get_if<TrustError>(&adopted)) FAIL(error->message);
    return std::get<NetworkTrust>(adopted);
  }
  Bytes online_key(Duration left, const crypto::SigningKey& root) const {
    media::OnlineKey key;
    key.key_id = 4;
    key.not_after_ms =
        std::chrono::duration_cast<std::chrono::milliseconds>((kNow + left).time_since_epoch())
            .count();
    key.not_before_ms = key.not_after_ms - 1000;
    key.network = *NetworkId::from(ByteView{fingerprint}.first(8));
    key.key = key_of(9).public_key();
    key.root = root.public_key();
    const auto blob = media::sign_online_key(key, root);
    return Bytes(blob.begin(), blob.end());
  }
};

template <class Result>
std::string error_of(const Result& result) {
  const auto* error = std::get_if<TrustError>(&result);
  return error == nullptr ? "no error" : error->message;
}

}  // namespace

TEST_CASE("the network CA is picked out of a chain by its fingerprint alone and kept") {
  Network network;
  CHECK(std::holds_alternative<std::nullopt_t>(
      load_network_trust(network.folder.path(), network.fingerprint)));
  const NetworkTrust adopted = network.adopt();
  CHECK(adopted.root == network.root_key.public_key());
  CHECK(adopted.network.view()[0] == network.fingerprint[0]);
  const auto path = network_ca_path(network.folder.path());
  CHECK((std::filesystem::status(path).permissions() & std::filesystem::perms::all) ==
        std::filesystem::perms{0644});

  const auto loaded = load_network_trust(network.folder.path(), network.fingerprint);
  REQUIRE(std::holds_alternative<NetworkTrust>(loaded));
  CHECK(std::get<NetworkTrust>(loaded).root == adopted.root);
  CHECK(std::get<NetworkTrust>(loaded).ca_pem == adopted.ca_pem);
}

TEST_CASE("a server without the network CA in its chain is refused and nothing is kept") {
  Network network;
  auto fingerprint = network.fingerprint;
  fingerprint[31] ^= std::byte{1};
  const std::vector<Bytes> chain{network.der};
  const auto refused = adopt_network_ca(network.folder.path(), fingerprint, chain);
  CHECK_THAT(error_of(refused), test::contains("not this network's orchestrator"));
  CHECK_FALSE(std::filesystem::exists(network_ca_path(network.folder.path())));
}

TEST_CASE("a stored CA of another network is refused by naming both and the remedy") {
  Network network;
  network.adopt();
  crypto::Sha256Digest other{};
  const std::string message = error_of(load_network_trust(network.folder.path(), other));
  CHECK_THAT(message, test::contains("network-ca.pem") && test::contains("remove the file"));
  CHECK_THAT(message, test::contains(std::string(52, 'a')));
}

TEST_CASE("a stored CA file that is no certificate, or cannot be written, is refused in words") {
  Network network;
  std::ofstream{network_ca_path(network.folder.path())} << "garbage";
  CHECK_THAT(error_of(load_network_trust(network.folder.path(), network.fingerprint)),
             test::contains("holds no certificate"));
  const std::vector<Bytes> chain{network.der};
  CHECK_THAT(
      error_of(adopt_network_ca(network.folder.path() / "absent", network.fingerprint, chain)),
      test::contains("cannot write") && test::contains("state directory"));
}

TEST_CASE("online keys count only when the network root signed them") {
  Network network;
  const NetworkTrust trust = network.adopt();
  const auto keys_of = [&](std::vector<Bytes> blobs) {
    return verify_online_keys(blobs, trust, kNow);
  };
  const Bytes valid = network.online_key(1h, network.root_key);
  const Bytes past = network.online_key(-2 * kOnlineKeyClockSlack, network.root_key);
  const Bytes just_past = network.online_key(-1h, network.root_key);
  const Bytes forged = network.online_key(1h, key_of(7));
  Bytes flipped = valid;
  flipped[100] ^= std::byte{1};

  const auto good = keys_of({valid, past, just_past});
  REQUIRE(std::holds_alternative<std::vector<media::OnlineKey>>(good));
  CHECK(std::get<std::vector<media::OnlineKey>>(good).size() == 2);
  CHECK_THAT(error_of(keys_of({valid, forged})), test::contains("does not chain"));
  CHECK_THAT(error_of(keys_of({flipped})), test::contains("does not chain"));
  CHECK_THAT(error_of(keys_of({past})), test::contains("no valid online key"));
  CHECK_THAT(error_of(keys_of({})), test::contains("no valid online key"));
}

}  // namespace tayga::control
