#pragma once

#include "common/crypto/ed25519.hpp"

#include <filesystem>
#include <string>
#include <variant>

namespace tayga::crypto {

/// What went wrong with a key file, worded for its owner: what, the path, the remedy.
struct KeyFileError {
  enum class Kind { missing, unreadable, too_open, malformed, wrong_type, exists, not_writable };
  Kind kind;
  std::string message;
};

template <class T>
using KeyFileResult = std::variant<T, KeyFileError>;

/// Reads an Ed25519 private key, PKCS#8 PEM. Refuses a file that gives group or others any
/// permission (too_open), a symbolic link or anything else that is no regular file (unreadable), a
/// text that is no key or an encrypted one (malformed), and any other kind of key (wrong_type).
KeyFileResult<SigningKey> load_signing_key(const std::filesystem::path& path);

/// Writes a new PKCS#8 PEM file, mode 0600, created exclusively and synced with its folder: a key
/// file is never replaced (exists).
KeyFileResult<std::monostate> store_signing_key(const std::filesystem::path& path,
                                                const SigningKey& key);

/// Loads the key; when the file does not exist, generates and stores one. Any other trouble with an
/// existing file is an error, never a reason for a new identity.
KeyFileResult<SigningKey> load_or_create_signing_key(const std::filesystem::path& path);

}  // namespace tayga::crypto
