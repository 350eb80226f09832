#pragma once

#include "common/base/bytes.hpp"
#include "common/base/time.hpp"
#include "common/crypto/ed25519.hpp"
#include "common/crypto/hash.hpp"
#include "common/media/receipts.hpp"

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace tayga::control {

/// Why a network cannot be trusted, worded for the node's owner.
struct TrustError {
  std::string message;
};

/// What a node knows about its network, all of it pinned by the join URL's fingerprint.
struct NetworkTrust {
  std::string ca_pem;
  crypto::PublicKey root{};  ///< signs the orchestrator's online keys
  NetworkId network;
};

[[nodiscard]] std::filesystem::path network_ca_path(const std::filesystem::path& state_dir);

/// Reads `network-ca.pem` of the state directory. nullopt: there is none yet, fetch it. Error: it
/// is unreadable, no CA of a Tayga network, or another network's than the join URL says; an
/// application that checks this before it starts the client can exit with a configuration error.
std::variant<NetworkTrust, std::nullopt_t, TrustError> load_network_trust(
    const std::filesystem::path& state_dir, const crypto::Sha256Digest& fingerprint);

/// Finds the certificate with that fingerprint in a chain (DER) that some server presented, and
/// keeps it in the state directory (0644, written beside and renamed). Everything else in the
/// chain, and who presented it, is irrelevant.
std::variant<NetworkTrust, TrustError> adopt_network_ca(const std::filesystem::path& state_dir,
                                                        const crypto::Sha256Digest& fingerprint,
                                                        std::span<const Bytes> chain);

/// An online key outlives its term by so much, for nodes whose clock is wrong.
inline constexpr Duration kOnlineKeyClockSlack = 24h;

/// Verifies all keys of a welcome against the root; those past their term are left out. Error: one
/// that does not chain to the root, or none left. The node's clock decides, not the orchestrator's:
/// whoever holds an old key could turn that back.
std::variant<std::vector<media::OnlineKey>, TrustError> verify_online_keys(
    std::span<const Bytes> blobs, const NetworkTrust& trust, WallTime now);

}  // namespace tayga::control
