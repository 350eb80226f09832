#include "daemon/control/network_trust.hpp"

#include "common/base/encoding.hpp"
#include "common/crypto/certificate.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace tayga::control {

namespace {

constexpr std::size_t kCaFileSizeMax = 64 * 1024;

TrustError file_error(const char* what, const std::filesystem::path& path, int reason) {
  return {std::string{what} + " " + path.native() + ": " + std::strerror(reason) +
          "; check that the state directory exists and belongs to taygad's user"};
}

/// nullopt with errno set.
std::optional<std::string> read_file(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  std::string text(kCaFileSizeMax, '\0');
  const ssize_t size = ::read(fd, text.data(), text.size());
  const int reason = errno;
  ::close(fd);
  errno = reason;
  if (size < 0) return std::nullopt;
  text.resize(static_cast<std::size_t>(size));
  return text;
}

/// False with errno set; the file then is as it was before.
bool replace_file(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::path temporary = path;
  temporary += ".new";
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return false;
  errno = EIO;  // for a short write, which sets none
  bool is_done = ::fchmod(fd, 0644) == 0 &&
                 ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                 ::fsync(fd) == 0;
  is_done = is_done && ::rename(temporary.c_str(), path.c_str()) == 0;
  const int reason = errno;
  ::close(fd);
  if (!is_done) ::unlink(temporary.c_str());
  errno = reason;
  return is_done;
}

std::variant<NetworkTrust, TrustError> to_trust(std::string ca_pem,
                                                const crypto::Sha256Digest& fingerprint,
                                                const std::string& where) {
  const auto root = crypto::ca_root_key(ca_pem);
  if (!root) {
    return TrustError{"the network CA certificate from " + where +
                      " names no root key: it was not made by `tayga-orchestrator init`; ask the "
                      "operator for a new join URL"};
  }
  NetworkTrust trust;
  trust.ca_pem = std::move(ca_pem);
  trust.root = *root;
  trust.network = *NetworkId::from(ByteView{fingerprint}.first(NetworkId::kSize));
  return trust;
}

}  // namespace

std::filesystem::path network_ca_path(const std::filesystem::path& state_dir) {
  return state_dir / "network-ca.pem";
}

std::variant<NetworkTrust, std::nullopt_t, TrustError> load_network_trust(
    const std::filesystem::path& state_dir, const crypto::Sha256Digest& fingerprint) {
  const std::filesystem::path path = network_ca_path(state_dir);
  auto pem = read_file(path);
  if (!pem && errno == ENOENT) return std::nullopt;
  if (!pem) return file_error("cannot read", path, errno);
  const auto stored = crypto::certificate_fingerprint(*pem);
  if (!stored) {
    return TrustError{path.native() +
                      " holds no certificate; remove the file to fetch the network CA again"};
  }
  if (*stored != fingerprint) {
    return TrustError{path.native() + " is the CA of network " + to_base32(*stored) +
                      ", but the join URL names " + to_base32(fingerprint) +
                      "; correct the join URL, or, to move this node to the other network, remove "
                      "the file"};
  }
  auto trust = to_trust(std::move(*pem), fingerprint, path.native());
  if (auto* error = std::get_if<TrustError>(&trust)) return std::move(*error);
  return std::move(std::get<NetworkTrust>(trust));
}

std::variant<NetworkTrust, TrustError> adopt_network_ca(const std::filesystem::path& state_dir,
                                                        const crypto::Sha256Digest& fingerprint,
                                                        std::span<const Bytes> chain) {
  for (const Bytes& der : chain) {
    if (crypto::sha256(der) != fingerprint) continue;
    auto trust = to_trust(crypto::certificate_pem(der), fingerprint, "the orchestrator");
    if (std::holds_alternative<TrustError>(trust)) return trust;
    const std::filesystem::path path = network_ca_path(state_dir);
    if (!replace_file(path, std::get<NetworkTrust>(trust).ca_pem)) {
      return file_error("cannot write", path, errno);
    }
    return trust;
  }
  return TrustError{"the server presents " + std::to_string(chain.size()) +
                    " certificate(s), none with the fingerprint " + to_base32(fingerprint) +
                    " of the join URL: it is not this network's orchestrator; check the join URL's "
                    "host, port and "
                    "fingerprint, and what sits between"};
}

std::variant<std::vector<media::OnlineKey>, TrustError> verify_online_keys(
    std::span<const Bytes> blobs, const NetworkTrust& trust, WallTime now) {
  std::vector<media::OnlineKey> keys;
  for (const Bytes& blob : blobs) {
    const auto key = media::verify_online_key(blob, trust.root, trust.network);
    if (!key) {
      return TrustError{"the orchestrator's online key does not chain to the network root (" +
                        key.error().message() + "): its operator must sign one again"};
    }
    const auto age_ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch());
    const auto slack_ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(kOnlineKeyClockSlack);
    if ((age_ms - slack_ms).count() <= key->not_after_ms) keys.push_back(*key);
  }
  if (keys.empty()) {
    return TrustError{"the orchestrator has no valid online key (" + std::to_string(blobs.size()) +
                      " expired): its operator must sign one; if that was done, check this "
                      "machine's clock"};
  }
  return keys;
}

}  // namespace tayga::control
