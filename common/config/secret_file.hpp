#pragma once

#include <cstddef>
#include <functional>
#include <string>

namespace tayga::config {

inline constexpr std::size_t kSecretSizeMax = 64 * 1024;

/// A secret read from a file, or why not.
struct SecretFile {
  std::string value;    ///< without white space at its end
  std::string problem;  ///< for people, behind "file PATH"; empty on success
};

using ReadSecretFile = std::function<SecretFile(const std::string& path)>;

/// Reads a secret. Refuses a file that others than its owner and group may read, write or enter,
/// one that is empty, larger than kSecretSizeMax, or not a regular file.
SecretFile read_secret_file(const std::string& path);

}  // namespace tayga::config
