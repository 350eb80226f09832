#include "common/config/secret_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace tayga::config {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_{fd} {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

SecretFile refuse(std::string problem) {
  return SecretFile{{}, std::move(problem)};
}

std::string octal(mode_t mode) {
  std::string out = "0";
  for (int shift = 6; shift >= 0; shift -= 3) {
    out += static_cast<char>('0' + (mode >> static_cast<unsigned>(shift) & 7U));
  }
  return out;
}

}  // namespace

SecretFile read_secret_file(const std::string& path) {
  // Not blocking: a fifo in its place must not stop the start.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.get() < 0) return refuse(std::string{"cannot be read: "} + std::strerror(errno));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return refuse("cannot be examined");
  if (!S_ISREG(info.st_mode)) return refuse("is not a regular file");
  if ((info.st_mode & S_IRWXO) != 0) {
    return refuse("has mode " + octal(info.st_mode) +
                  ", so others may read the secret; run chmod 600 " + path);
  }
  std::string value;
  std::array<char, 4096> piece{};
  for (;;) {
    const ssize_t size = ::read(file.get(), piece.data(), piece.size());
    if (size < 0) return refuse(std::string{"cannot be read: "} + std::strerror(errno));
    if (size == 0) break;
    value.append(piece.data(), static_cast<std::size_t>(size));
    if (value.size() > kSecretSizeMax) return refuse("is larger than 64 KiB");
  }
  const auto end = value.find_last_not_of(" \t\r\n");
  value.resize(end == std::string::npos ? 0 : end + 1);
  if (value.empty()) return refuse("is empty");
  return SecretFile{std::move(value), {}};
}

}  // namespace tayga::config
