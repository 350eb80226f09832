#include "tests/bench/other_programs.hpp"

#include "common/async/clock.hpp"
#include "common/base/check.hpp"
#include "tests/bench/process.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <vector>

namespace tayga::bench {
namespace {

constexpr Duration kStartUp = 300ms;
constexpr Duration kLimit = 120s;
constexpr long kDay = 24L * 3600;

/// A UDP port that nobody uses now.
std::uint16_t free_port() {
  boost::asio::io_context io;
  const boost::asio::ip::udp::socket socket{
      io, boost::asio::ip::udp::endpoint{boost::asio::ip::address_v4::loopback(), 0}};
  return socket.local_endpoint().port();
}

/// A folder with a key, a certificate and files of zeros; goes away with it.
class ServedFolder {
 public:
  ServedFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "tayga-bench-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error{"cannot make " + name};
    path_ = name;
    write_certificate();
  }
  ~ServedFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ServedFolder(const ServedFolder&) = delete;
  ServedFolder& operator=(const ServedFolder&) = delete;

  [[nodiscard]] std::string file(const std::string& name) const { return (path_ / name).string(); }
  void add_zeros(const std::string& name, std::uint64_t bytes) const {
    const std::unique_ptr<FILE, int (*)(FILE*)> empty{std::fopen(file(name).c_str(), "w"),
                                                      std::fclose};
    TAYGA_CHECK(empty != nullptr);
    std::filesystem::resize_file(path_ / name, bytes);  // sparse
  }

 private:
  void write_certificate() const {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{
        EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"), EVP_PKEY_free};
    const std::unique_ptr<X509, decltype(&X509_free)> made{X509_new(), X509_free};
    X509* raw = made.get();
    const std::unique_ptr<FILE, int (*)(FILE*)> key_file{std::fopen(file("key.pem").c_str(), "w"),
                                                         std::fclose};
    const std::unique_ptr<FILE, int (*)(FILE*)> file_of_it{
        std::fopen(file("cert.pem").c_str(), "w"), std::fclose};
    TAYGA_CHECK(key && X509_set_version(raw, 2) == 1 &&
                X509_gmtime_adj(X509_getm_notBefore(raw), -kDay) != nullptr &&
                X509_gmtime_adj(X509_getm_notAfter(raw), kDay) != nullptr &&
                X509_set_pubkey(raw, key.get()) == 1 &&
                X509_sign(raw, key.get(), EVP_sha256()) != 0 && key_file && file_of_it &&
                PEM_write_PrivateKey(key_file.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                     nullptr) == 1 &&
                PEM_write_X509(file_of_it.get(), raw) == 1);
  }

  std::filesystem::path path_;
};

double download_seconds(const std::string& client, std::uint16_t port, const std::string& name) {
  const std::string at = std::to_string(port);
  const TimePoint began = async::Clock::now();
  Program program{{client, "-q", "--exit-on-all-streams-close", "127.0.0.1", at,
                   "https://localhost:" + at + "/" + name},
                  cpu_for(1)};
  (void)program.finish(kLimit);
  return std::chrono::duration<double>(async::Clock::now() - began).count();
}

}  // namespace

std::optional<double> measure_gtls_gbps(std::uint64_t bytes) {
  const std::string server = find_program("gtlsserver");
  const std::string client = find_program("gtlsclient");
  if (server.empty() || client.empty()) return std::nullopt;
  const ServedFolder folder;
  folder.add_zeros("large", bytes);
  folder.add_zeros("small", 1);
  const std::uint16_t port = free_port();
  const Program running{{server, "-q", "-d", folder.file(""), "127.0.0.1", std::to_string(port),
                         folder.file("key.pem"), folder.file("cert.pem")},
                        cpu_for(0)};
  sleep_until_wall(wall_us() + kStartUp.count());
  const double small = download_seconds(client, port, "small");
  const double large = download_seconds(client, port, "large");
  return static_cast<double>(bytes) * 8 / 1e9 / std::max(large - small, 1e-6);
}

double measure_probe_gbps(const std::string& path, double seconds) {
  const std::string port = std::to_string(free_port());
  Program server{{path, "server", "-port", port, "-cpu", std::to_string(cpu_for(1))}, cpu_for(1)};
  sleep_until_wall(wall_us() + kStartUp.count());
  Program client{{path, "client", "-port", port, "-cpu", std::to_string(cpu_for(0)), "-secs",
                  std::to_string(seconds)},
                 cpu_for(0)};
  const std::string said = client.finish(
      std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds)) + kLimit);
  std::istringstream words{said};
  std::string before;
  for (std::string word; words >> word; before = word) {
    if (word == "Gbit/s") return std::stod(before);
  }
  throw std::runtime_error{path + " said no rate: " + said};
}

}  // namespace tayga::bench
