#include "common/crypto/key_file.hpp"

#include "common/crypto/certificate.hpp"
#include "common/crypto/pem.hpp"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>

namespace tayga::crypto {
namespace {

using Kind = KeyFileError::Kind;

constexpr std::size_t kKeyFileSizeMax = 16 * 1024;  // an Ed25519 key in PEM is 119 bytes

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) noexcept : fd_{fd} {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }

 private:
  int fd_;
};

/// Secret text, wiped however the function that holds it ends.
struct SecretText {
  std::string text;
  SecretText() = default;
  explicit SecretText(std::string value) : text{std::move(value)} {}
  SecretText(const SecretText&) = delete;
  SecretText& operator=(const SecretText&) = delete;
  ~SecretText() { sodium_memzero(text.data(), text.size()); }
};

std::string quoted(const std::filesystem::path& path) {
  return "'" + path.string() + "'";
}

std::string reason(int error_number) {
  return std::strerror(error_number);
}

std::string octal(unsigned mode) {
  std::array<char, 8> out{};
  std::snprintf(out.data(), out.size(), "%04o", mode & 07777U);
  return out.data();
}

KeyFileError open_error(const std::filesystem::path& path, int error_number) {
  const std::string subject = "key file " + quoted(path);
  if (error_number == ENOENT) return {Kind::missing, subject + " does not exist"};
  if (error_number == ELOOP) {
    return {Kind::unreadable, subject + " is a symbolic link: name the file itself"};
  }
  return {Kind::unreadable, "cannot open " + subject + ": " + reason(error_number)};
}

std::variant<std::monostate, KeyFileError> check_file(const std::filesystem::path& path, int fd) {
  const std::string subject = "key file " + quoted(path);
  struct stat status {};
  if (::fstat(fd, &status) != 0) {
    return KeyFileError{Kind::unreadable, "cannot examine " + subject + ": " + reason(errno)};
  }
  if (!S_ISREG(status.st_mode)) {
    return KeyFileError{Kind::unreadable, subject + " is not a regular file"};
  }
  if ((status.st_mode & 077U) != 0) {
    return KeyFileError{Kind::too_open, subject + " has mode " + octal(status.st_mode) +
                                            ", so others than its owner may use it; run: chmod " +
                                            "600 " + path.string()};
  }
  if (status.st_size > static_cast<off_t>(kKeyFileSizeMax)) {
    return KeyFileError{Kind::malformed, subject + " has " + std::to_string(status.st_size) +
                                             " bytes: too large to be a private key"};
  }
  return std::monostate{};
}

KeyFileError pem_error(const std::filesystem::path& path, PemKeyError error) {
  const std::string subject = "key file " + quoted(path);
  switch (error) {
    case PemKeyError::no_pem:
      return {Kind::malformed, subject + " holds no PEM block ('-----BEGIN PRIVATE KEY-----'): " +
                                   "restore it from a backup"};
    case PemKeyError::encrypted:
      return {Kind::malformed, subject +
                                   " is encrypted with a passphrase, and nobody is there to " +
                                   "type it; decrypt it with: openssl pkcs8 -in " + path.string() +
                                   " -out NEW_FILE"};
    case PemKeyError::not_private:
      return {Kind::wrong_type,
              subject + " holds a certificate or a public key, not a private key"};
    case PemKeyError::other_key:
      return {Kind::wrong_type, subject + " holds a private key of another kind: only Ed25519 in " +
                                    "PKCS#8 is used here (openssl genpkey -algorithm ed25519)"};
    case PemKeyError::damaged:
      break;
  }
  return {Kind::malformed, subject + " holds a damaged private key: restore it from a backup"};
}

/// Reads at most kKeyFileSizeMax bytes; the file may be changing under us.
std::variant<std::monostate, KeyFileError> read_all(const std::filesystem::path& path, int fd,
                                                    std::string& out) {
  out.resize(kKeyFileSizeMax);
  std::size_t used = 0;
  while (used < out.size()) {
    const ssize_t n = ::read(fd, out.data() + used, out.size() - used);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      return KeyFileError{Kind::unreadable,
                          "cannot read key file " + quoted(path) + ": " + reason(errno)};
    }
    if (n == 0) break;
    used += static_cast<std::size_t>(n);
  }
  out.resize(used);
  return std::monostate{};
}

bool write_all(int fd, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool sync_folder(const std::filesystem::path& folder) noexcept {
  const FileDescriptor fd{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  return fd.is_open() && ::fsync(fd.get()) == 0;
}

/// Writes and syncs `text` under a new name next to the target, then gives it the target's name.
/// link() never replaces, and a crash leaves either no key file or a whole one. Returns errno or 0.
int write_exclusively(const std::filesystem::path& path, const std::filesystem::path& folder,
                      std::string_view text) {
  std::string temporary = (folder / (path.filename().string() + ".new-XXXXXX")).string();
  const FileDescriptor fd{::mkostemp(temporary.data(), O_CLOEXEC)};  // O_EXCL, mode 0600
  if (!fd.is_open()) return errno;
  const bool linked = ::fchmod(fd.get(), 0600) == 0 && write_all(fd.get(), text) &&
                      ::fsync(fd.get()) == 0 && ::link(temporary.c_str(), path.c_str()) == 0;
  const int error_number = linked ? 0 : errno;
  ::unlink(temporary.c_str());
  if (error_number != 0) return error_number;
  return sync_folder(folder) ? 0 : errno;
}

}  // namespace

KeyFileResult<SigningKey> load_signing_key(const std::filesystem::path& path) {
  // O_NONBLOCK: a fifo must not hang the start before fstat can refuse it.
  const FileDescriptor fd{::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
  if (!fd.is_open()) return open_error(path, errno);
  auto checked = check_file(path, fd.get());
  if (auto* error = std::get_if<KeyFileError>(&checked)) return std::move(*error);
  SecretText pem;
  auto read = read_all(path, fd.get(), pem.text);
  if (auto* error = std::get_if<KeyFileError>(&read)) return std::move(*error);
  auto parsed = parse_pkcs8_pem(pem.text);
  if (const auto* error = std::get_if<PemKeyError>(&parsed)) return pem_error(path, *error);
  return std::get<SigningKey>(std::move(parsed));
}

KeyFileResult<std::monostate> store_signing_key(const std::filesystem::path& path,
                                                const SigningKey& key) {
  const SecretText pem{to_pkcs8_pem(key)};
  const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path{"."};
  const int error_number = write_exclusively(path, folder, pem.text);
  if (error_number == 0) return std::monostate{};
  if (error_number == EEXIST) {
    return KeyFileError{Kind::exists, "key file " + quoted(path) +
                                          " exists and is never replaced; move it away first"};
  }
  return KeyFileError{Kind::not_writable, "cannot write key file " + quoted(path) + ": " +
                                              reason(error_number) + "; check the folder " +
                                              quoted(folder)};
}

KeyFileResult<SigningKey> load_or_create_signing_key(const std::filesystem::path& path) {
  auto loaded = load_signing_key(path);
  const auto* trouble = std::get_if<KeyFileError>(&loaded);
  if (trouble == nullptr || trouble->kind != Kind::missing) return loaded;
  SigningKey key = SigningKey::generate();
  auto stored = store_signing_key(path, key);
  auto* error = std::get_if<KeyFileError>(&stored);
  if (error == nullptr) return key;
  // Another process was faster: its key is the identity now.
  if (error->kind == Kind::exists) return load_signing_key(path);
  return std::move(*error);
}

}  // namespace tayga::crypto
