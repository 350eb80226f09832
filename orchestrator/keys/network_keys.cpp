#include "orchestrator/keys/network_keys.hpp"

#include "common/base/encoding.hpp"
#include "common/base/protocol.hpp"
#include "common/crypto/certificate.hpp"
#include "common/crypto/hash.hpp"
#include "common/crypto/key_file.hpp"
#include "orchestrator/keys/network_files.hpp"
#include "orchestrator/keys/startup_error.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <system_error>
#include <utility>

namespace tayga::orch {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kDayMs = 24LL * 3600 * 1000;
constexpr std::int64_t kClockSkewMs = 3600 * 1000;  // nodes whose clocks run behind accept it too
constexpr int kServerCertificateDays = 398;

ExitCode to_exit_code(crypto::KeyFileError::Kind kind) {
  using Kind = crypto::KeyFileError::Kind;
  switch (kind) {
    case Kind::too_open:
    case Kind::unreadable:
      return ExitCode::no_permission;
    case Kind::missing:
    case Kind::malformed:
    case Kind::wrong_type:
    case Kind::exists:
      return ExitCode::config;
    case Kind::not_writable:
      return ExitCode::failed;
  }
  return ExitCode::failed;
}

template <class T>
T value_or_throw(crypto::KeyFileResult<T> result) {
  if (const auto* error = std::get_if<crypto::KeyFileError>(&result)) {
    throw StartupError{to_exit_code(error->kind), error->message};
  }
  return std::get<T>(std::move(result));
}

NetworkId to_network_id(const crypto::Sha256Digest& fingerprint) {
  return *NetworkId::from(ByteView{fingerprint}.first(NetworkId::kSize));
}

struct CaFile {
  std::string pem;
  crypto::Sha256Digest fingerprint;
  crypto::PublicKey root;
};

CaFile load_ca_certificate(const NetworkFiles& files) {
  std::error_code ec;
  if (!fs::exists(files.ca_certificate(), ec)) {
    throw StartupError{ExitCode::config,
                       "no network in '" + files.dir.string() +
                           "' (no ca.crt); make one with `tayga-orchestrator init --state " +
                           files.dir.string() + "`, or name its folder with --state"};
  }
  std::string pem = read_text_file(files.ca_certificate(), "restore it from a backup");
  const auto fingerprint = crypto::certificate_fingerprint(pem);
  const auto root = crypto::ca_root_key(pem);
  if (!fingerprint || !root) {
    throw StartupError{ExitCode::config, "'" + files.ca_certificate().string() +
                                             "' is not the certificate of a network CA; restore it "
                                             "from a backup"};
  }
  return {std::move(pem), *fingerprint, *root};
}

void refuse_existing_network(const NetworkFiles& files) {
  std::error_code ec;
  if (fs::exists(files.ca_certificate(), ec)) {
    throw StartupError{ExitCode::failed,
                       "a network exists already in '" + files.dir.string() +
                           "' and is never replaced; show its join URL with `tayga-orchestrator "
                           "join-url`, or choose another folder with --state"};
  }
  for (const fs::path& file : {files.root_key(), files.ca_key(), files.online_key()}) {
    if (!fs::exists(file, ec)) continue;
    throw StartupError{ExitCode::failed, "an interrupted init left '" + file.string() +
                                             "'; remove *.pem and *.cert from this folder, which "
                                             "no node has ever trusted, and run init again"};
  }
}

/// The certificate first, then the key by a rename: whatever is interrupted, online.pem has its
/// certificate.
void store_online_key(const NetworkFiles& files, const crypto::SigningKey& online,
                      const media::OnlineKey& facts, const crypto::SigningKey& root) {
  write_file(files.online_certificate(facts.key_id), media::sign_online_key(facts, root));
  std::error_code ec;
  fs::remove(files.online_key_next(), ec);
  value_or_throw(crypto::store_signing_key(files.online_key_next(), online));
  replace_file(files.online_key_next(), files.online_key());
}

media::OnlineKey make_online_key(std::uint32_t key_id, const NetworkId& network,
                                 const crypto::PublicKey& online, const crypto::PublicKey& root,
                                 std::int64_t now_ms) {
  media::OnlineKey key;
  key.key_id = key_id;
  key.not_before_ms = now_ms - kClockSkewMs;
  key.not_after_ms = key.not_before_ms + media::kOnlineKeyTermMaxMs;
  key.network = network;
  key.key = online;
  key.root = root;
  return key;
}

struct OnlineCertificates {
  std::vector<media::OnlineKey> keys;  // newest first
  std::vector<Bytes> blobs;
};

OnlineCertificates load_online_certificates(const NetworkFiles& files, const CaFile& ca) {
  std::vector<std::pair<media::OnlineKey, Bytes>> found;
  for (const fs::path& path : find_online_certificates(files.dir)) {
    const std::string text = read_text_file(path, "restore it from a backup");
    const ByteView blob = as_bytes(text);
    const auto key = media::verify_online_key(blob, ca.root, to_network_id(ca.fingerprint));
    if (!key) {
      throw StartupError{ExitCode::config, "'" + path.string() +
                                               "' is no online key certificate of this network (" +
                                               key.error().message() + "); restore or remove it"};
    }
    found.emplace_back(*key, Bytes(blob.begin(), blob.end()));
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.first.key_id > b.first.key_id; });
  OnlineCertificates out;
  for (auto& [key, blob] : found) {
    out.keys.push_back(key);
    out.blobs.push_back(std::move(blob));
  }
  return out;
}

}  // namespace

bool is_public_address(const std::string& address) {
  const auto colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0) return false;
  const std::string_view host = std::string_view{address}.substr(0, colon);
  const std::string_view port = std::string_view{address}.substr(colon + 1);
  unsigned number = 0;
  const auto [end, ec] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (ec != std::errc{} || end != port.data() + port.size() || number == 0 || number > 65'535) {
    return false;
  }
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  const std::string_view inner = bracketed ? host.substr(1, host.size() - 2) : host;
  if (bracketed != (inner.find(':') != std::string_view::npos)) return false;
  return std::all_of(inner.begin(), inner.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == ':';
  });
}

InitResult init_network(const fs::path& dir, const std::string& address, std::int64_t now_ms) {
  if (!is_public_address(address)) {
    throw StartupError{ExitCode::usage, "'" + address +
                                            "' is no address that nodes can reach; give HOST:PORT, "
                                            "for example --address relay.example.net:7400"};
  }
  const NetworkFiles files{dir};
  make_state_directory(dir);
  refuse_existing_network(files);
  const auto root = crypto::SigningKey::generate();
  const auto ca = crypto::SigningKey::generate();
  const auto online = crypto::SigningKey::generate();
  value_or_throw(crypto::store_signing_key(files.root_key(), root));
  value_or_throw(crypto::store_signing_key(files.ca_key(), ca));
  const std::string ca_pem = crypto::make_ca_certificate({ca, root.public_key()});
  const auto network = to_network_id(*crypto::certificate_fingerprint(ca_pem));
  store_online_key(files, online,
                   make_online_key(1, network, online.public_key(), root.public_key(), now_ms),
                   root);
  write_file(files.address(), as_bytes(address + "\n"));
  write_file(files.ca_certificate(), as_bytes(ca_pem));
  return {join_url(dir, std::nullopt), files.root_key()};
}

media::OnlineKey renew_online_key(const fs::path& dir, const fs::path& root_key,
                                  std::int64_t now_ms) {
  const NetworkFiles files{dir};
  const CaFile ca = load_ca_certificate(files);
  const auto root =
      value_or_throw(crypto::load_signing_key(root_key.empty() ? files.root_key() : root_key));
  if (root.public_key() != ca.root) {
    throw StartupError{ExitCode::config,
                       "the root key is not this network's; give the root.pem that `init` made "
                       "with --root-key"};
  }
  const OnlineCertificates known = load_online_certificates(files, ca);
  const std::uint32_t key_id = known.keys.empty() ? 1 : known.keys.front().key_id + 1;
  const auto online = crypto::SigningKey::generate();
  const media::OnlineKey facts = make_online_key(key_id, to_network_id(ca.fingerprint),
                                                 online.public_key(), root.public_key(), now_ms);
  store_online_key(files, online, facts, root);
  return facts;
}

std::string join_url(const fs::path& dir, const std::optional<std::string>& address) {
  const NetworkFiles files{dir};
  const CaFile ca = load_ca_certificate(files);
  std::string shown =
      address ? *address : read_text_file(files.address(), "give --address HOST:PORT");
  while (!shown.empty() && (shown.back() == '\n' || shown.back() == ' ')) shown.pop_back();
  if (!is_public_address(shown)) {
    throw StartupError{ExitCode::usage, "'" + shown + "' is not HOST:PORT; give --address"};
  }
  return "tayga://" + shown + "/" + to_base32(ca.fingerprint);
}

NetworkKeys load_network_keys(const fs::path& dir, std::int64_t now_ms) {
  const NetworkFiles files{dir};
  CaFile ca = load_ca_certificate(files);
  auto ca_key = value_or_throw(crypto::load_signing_key(files.ca_key()));
  auto online_key = value_or_throw(crypto::load_signing_key(files.online_key()));
  if (crypto::certificate_public_key(ca.pem) != ca_key.public_key()) {
    throw StartupError{ExitCode::config, "'" + files.ca_key().string() +
                                             "' is not the key of ca.crt; restore both from the "
                                             "same backup"};
  }
  OnlineCertificates certificates = load_online_certificates(files, ca);
  const auto current =
      std::find_if(certificates.keys.begin(), certificates.keys.end(),
                   [&](const media::OnlineKey& k) { return k.key == online_key.public_key(); });
  const std::string renew = "renew it with `tayga-orchestrator init --renew-online-key --state " +
                            dir.string() + "` (needs root.pem; --root-key FILE if it is offline)";
  if (current == certificates.keys.end()) {
    throw StartupError{ExitCode::config, "no certificate for the online key; " + renew};
  }
  if (current->not_after_ms <= now_ms) {
    throw StartupError{ExitCode::config,
                       "the online key expired " +
                           std::to_string((now_ms - current->not_after_ms) / kDayMs) +
                           " days ago; " + renew};
  }
  if (current->not_before_ms > now_ms) {
    throw StartupError{ExitCode::config,
                       "the online key is not valid yet: set this machine's clock, which is " +
                           std::to_string((current->not_before_ms - now_ms) / 1000) +
                           " s behind it"};
  }
  media::OnlineKey online = *current;
  return {to_network_id(ca.fingerprint),
          std::move(ca.pem),
          std::move(ca_key),
          std::move(online_key),
          online,
          std::move(certificates.keys),
          std::move(certificates.blobs)};
}

ServerIdentity make_server_identity(const NetworkKeys& keys, std::int64_t now_ms) {
  const auto server = crypto::SigningKey::generate();
  const std::string certificate = crypto::make_server_certificate(
      {keys.ca_key, keys.ca_certificate_pem, server.public_key(), std::string{kOrchestratorTlsName},
       (now_ms - kDayMs) / 1000, kServerCertificateDays});
  if (certificate.empty()) {
    throw StartupError{ExitCode::config,
                       "cannot issue the server certificate: ca.crt and ca.pem do not fit"};
  }
  return {crypto::to_pkcs8_pem(server), certificate + keys.ca_certificate_pem};
}

}  // namespace tayga::orch
