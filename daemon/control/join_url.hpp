#pragma once

#include "common/base/ids.hpp"
#include "common/crypto/hash.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace tayga::control {

/// The one line that lets a node join a network: tayga://HOST:PORT/FINGERPRINT.
struct JoinUrl {
  std::string host;  ///< name, IPv4, or IPv6 without brackets
  std::uint16_t port = 0;
  crypto::Sha256Digest fingerprint{};  ///< SHA-256 of the network CA certificate's DER

  [[nodiscard]] NetworkId network_id() const noexcept;
  friend bool operator==(const JoinUrl&, const JoinUrl&) = default;
};

/// Worded for the node's owner: which part is wrong, its value, what to do.
struct JoinUrlError {
  std::string message;
};

/// Surrounding white space is allowed: the line is usually pasted. Nothing is resolved or dialled.
std::variant<JoinUrl, JoinUrlError> parse_join_url(std::string_view text);

std::string format_join_url(const JoinUrl& url);

}  // namespace tayga::control
