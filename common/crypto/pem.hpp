#pragma once

#include "common/crypto/ed25519.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace tayga::crypto {

/// Why a text is no usable private key.
enum class PemKeyError {
  no_pem,       ///< no PEM block in it
  encrypted,    ///< needs a passphrase
  not_private,  ///< a PEM block of something else, a certificate or a public key
  other_key,    ///< a private key, but not Ed25519
  damaged,      ///< a private key block whose contents do not parse
};

/// Reads the first PEM block of `text` as an Ed25519 private key (PKCS#8). Never prompts.
std::variant<SigningKey, PemKeyError> parse_pkcs8_pem(std::string_view text);

}  // namespace tayga::crypto
