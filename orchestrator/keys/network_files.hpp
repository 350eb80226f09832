#pragma once

#include "common/base/bytes.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

/// The files of a network in the orchestrator's state directory.
//
//    root.pem            root key: signs online keys; belongs offline
//    ca.pem, ca.crt      network CA: ca.crt last, so its presence means a whole network
//    online.pem          signs allocations, replaced by `init --renew-online-key`
//    online-<id>.cert    its certificate by the root, one per key that ever was
//    address             HOST:PORT of the join URL
namespace tayga::orch {

struct NetworkFiles {
  std::filesystem::path dir;

  [[nodiscard]] std::filesystem::path root_key() const { return dir / "root.pem"; }
  [[nodiscard]] std::filesystem::path ca_key() const { return dir / "ca.pem"; }
  [[nodiscard]] std::filesystem::path ca_certificate() const { return dir / "ca.crt"; }
  [[nodiscard]] std::filesystem::path online_key() const { return dir / "online.pem"; }
  [[nodiscard]] std::filesystem::path online_key_next() const { return dir / "online.pem.next"; }
  [[nodiscard]] std::filesystem::path address() const { return dir / "address"; }
  [[nodiscard]] std::filesystem::path online_certificate(std::uint32_t key_id) const {
    return dir / ("online-" + std::to_string(key_id) + ".cert");
  }
};

/// Makes the directory, mode 0700; an existing one must give others nothing. Throws StartupError.
void make_state_directory(const std::filesystem::path& dir);
/// Whole file of at most 64 KiB. Throws StartupError naming the path and `remedy`.
std::string read_text_file(const std::filesystem::path& path, const std::string& remedy);
/// Creates or replaces atomically and durably, mode 0600. Throws StartupError.
void write_file(const std::filesystem::path& path, ByteView contents);
/// Moves over an existing file, durably. Throws StartupError.
void replace_file(const std::filesystem::path& from, const std::filesystem::path& to);
/// Every online-<id>.cert of the directory.
std::vector<std::filesystem::path> find_online_certificates(const std::filesystem::path& dir);

}  // namespace tayga::orch
