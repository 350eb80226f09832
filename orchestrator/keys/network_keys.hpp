#pragma once

#include "common/base/bytes.hpp"
#include "common/base/ids.hpp"
#include "common/crypto/ed25519.hpp"
#include "common/media/receipts.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

/// The keys of a network: a root key that belongs offline, a CA that proves orchestrators to nodes,
/// and an online key, renewed within 30 days, that signs allocations. All throw StartupError.
namespace tayga::orch {

/// HOST:PORT, where HOST is a name, an IPv4 address or an IPv6 address in brackets.
[[nodiscard]] bool is_public_address(const std::string& address);

struct InitResult {
  std::string join_url;
  std::filesystem::path root_key;
};
/// Makes a new network in `dir`. Refuses when one exists there.
InitResult init_network(const std::filesystem::path& dir, const std::string& address,
                        std::int64_t now_ms);

/// Makes a new online key with the next key id, signed by the root key in `root_key` (the network's
/// own root.pem when empty). Allocations signed by earlier keys stay valid.
media::OnlineKey renew_online_key(const std::filesystem::path& dir,
                                  const std::filesystem::path& root_key, std::int64_t now_ms);

/// "tayga://HOST:PORT/FINGERPRINT"; `address` replaces the one given to init.
std::string join_url(const std::filesystem::path& dir, const std::optional<std::string>& address);

/// What `serve` needs.
struct NetworkKeys {
  NetworkId network;
  std::string ca_certificate_pem;
  crypto::SigningKey ca_key;
  crypto::SigningKey online_key;
  media::OnlineKey online;                    ///< of online_key
  std::vector<media::OnlineKey> online_keys;  ///< all that ever were, newest first
  std::vector<Bytes> online_certificates;     ///< the same, as nodes get them
};
inline constexpr std::int64_t kOnlineKeyWarnMs = 3LL * 24 * 3600 * 1000;

/// Loads and checks everything. An expired online key is an error that names the remedy.
NetworkKeys load_network_keys(const std::filesystem::path& dir, std::int64_t now_ms);

/// A key and certificate chain (the server's, then the CA's) for this process: made at each start
/// and never stored, so that no file of it can leak or expire.
struct ServerIdentity {
  std::string key_pem;
  std::string chain_pem;
};
ServerIdentity make_server_identity(const NetworkKeys& keys, std::int64_t now_ms);

}  // namespace tayga::orch
