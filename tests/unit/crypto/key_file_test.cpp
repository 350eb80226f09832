#include "common/crypto/key_file.hpp"

#include "common/crypto/certificate.hpp"
#include "tests/support/catch.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <variant>

namespace tayga::crypto {
namespace {

namespace fs = std::filesystem;
using Kind = KeyFileError::Kind;
using test::contains;

// Made with openssl genpkey / pkey / pkcs8; none of them protects anything.
constexpr const char* kEd25519Pem = R"(-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEII4cCvdl0ShE7ZlT76glpNTyZ9NEFIdy07bsGiCaIxob
-----END PRIVATE KEY-----
)";
constexpr const char* kEd25519EncryptedPem = R"(-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgDm1zzZRRWEQICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEAQIEEN5HaPENTctPEuurgqA+q54EQJ4s
5O8KAJJ2wurglOLdykiej+wAQUsAhTP2P30DUj6/OzvyyRRYzSlPHSmylgRvhkJZ
NNcou3GuyxDsyTODSQ8=
-----END ENCRYPTED PRIVATE KEY-----
)";
constexpr const char* kEd25519PublicPem = R"(-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAoNAvnOXGapRuJy++cHRTXpNcM9qIUpNxgO3Qwfau6EQ=
-----END PUBLIC KEY-----
)";
constexpr const char* kEcPem = R"(-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjL//I4gjy+nTRfgY
BgozUZkJIR/6RUW3hSklAA6Y5G+hRANCAAS7C5NkzeLxcKxVd+lDaVc6whshmKo2
25xHJ1+L5YsGlDRHVNxitxNfmzeODR/3uK5q75qO/ap0GWaTu4zX2G0S
-----END PRIVATE KEY-----
)";
constexpr const char* kEcLegacyPem = R"(-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIIy//yOII8vp00X4GAYKM1GZCSEf+kVFt4UpJQAOmORvoAoGCCqGSM49
AwEHoUQDQgAEuwuTZM3i8XCsVXfpQ2lXOsIbIZiqNtucRydfi+WLBpQ0R1TcYrcT
X5s3jg0f97iuau+ajv2qdBlmk7uM19htEg==
-----END EC PRIVATE KEY-----
)";

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "tayga-key-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { fs::remove_all(path_); }

  [[nodiscard]] const fs::path& path() const { return path_; }
  [[nodiscard]] fs::path operator/(const char* name) const { return path_ / name; }
  [[nodiscard]] std::ptrdiff_t entry_count() const {
    return std::distance(fs::directory_iterator{path_}, fs::directory_iterator{});
  }

 private:
  fs::path path_;
};

unsigned mode_of(const fs::path& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777U;
}

fs::path write_file(const fs::path& path, const std::string& text, unsigned mode = 0600) {
  std::ofstream{path} << text;
  REQUIRE(::chmod(path.c_str(), static_cast<mode_t>(mode)) == 0);
  return path;
}

std::string read_file(const fs::path& path) {
  std::ifstream in{path};
  return {std::istreambuf_iterator<char>{in}, {}};
}

template <class T>
KeyFileError error_of(KeyFileResult<T> result) {
  REQUIRE(std::holds_alternative<KeyFileError>(result));
  return std::get<KeyFileError>(result);
}

SigningKey key_of(KeyFileResult<SigningKey> result) {
  if (const auto* error = std::get_if<KeyFileError>(&result)) FAIL(error->message);
  return std::get<SigningKey>(std::move(result));
}

TEST_CASE("a stored key is PKCS#8, mode 0600 whatever the umask, and loads back") {
  const Folder folder;
  const fs::path path = folder / "identity.pem";
  const SigningKey key = SigningKey::generate();
  const mode_t old_mask = ::umask(0);
  CHECK(std::holds_alternative<std::monostate>(store_signing_key(path, key)));
  ::umask(old_mask);
  CHECK(mode_of(path) == 0600U);
  CHECK_THAT(read_file(path), contains("-----BEGIN PRIVATE KEY-----"));
  CHECK(key_of(load_signing_key(path)).seed() == key.seed());
  CHECK(folder.entry_count() == 1);  // no temporary file is left
}

TEST_CASE("a key made by openssl loads") {
  const Folder folder;
  const SigningKey key = key_of(load_signing_key(write_file(folder / "k.pem", kEd25519Pem)));
  CHECK(to_pkcs8_pem(key) == kEd25519Pem);
}

TEST_CASE("storing never replaces what has the name already") {
  const Folder folder;
  const fs::path path = folder / "identity.pem";
  const SigningKey key = SigningKey::generate();

  SECTION("a key") {
    write_file(path, kEd25519Pem);
    const KeyFileError error = error_of(store_signing_key(path, key));
    CHECK(error.kind == Kind::exists);
    CHECK_THAT(error.message, contains(path.string()));
    CHECK(read_file(path) == kEd25519Pem);
  }
  SECTION("a folder") {
    fs::create_directory(path);
    CHECK(error_of(store_signing_key(path, key)).kind == Kind::exists);
  }
  SECTION("a dangling symbolic link") {
    fs::create_symlink(folder / "elsewhere", path);
    CHECK(error_of(store_signing_key(path, key)).kind == Kind::exists);
    CHECK_FALSE(fs::exists(folder / "elsewhere"));
  }
  CHECK(folder.entry_count() == 1);
}

TEST_CASE("storing into a folder that is not there says so") {
  const Folder folder;
  const KeyFileError error =
      error_of(store_signing_key(folder / "absent" / "identity.pem", SigningKey::generate()));
  CHECK(error.kind == Kind::not_writable);
  CHECK_THAT(error.message, contains("No such file or directory") && contains("absent"));
}

TEST_CASE("a key file that gives group or others any permission is refused with the remedy") {
  const Folder folder;
  for (const unsigned mode : {0640U, 0604U, 0620U, 0602U, 0610U, 0601U, 0666U, 0777U}) {
    const fs::path path = write_file(folder / "identity.pem", kEd25519Pem, mode);
    const KeyFileError error = error_of(load_signing_key(path));
    CHECK(error.kind == Kind::too_open);
    CHECK_THAT(error.message, contains(path.string()) && contains("chmod 600 " + path.string()));
  }
  const fs::path path = write_file(folder / "identity.pem", kEd25519Pem, 0644);
  CHECK_THAT(error_of(load_signing_key(path)).message, contains("mode 0644"));
  CHECK(key_of(load_signing_key(write_file(path, kEd25519Pem, 0400))).seed() !=
        std::array<std::byte, 32>{});
}

TEST_CASE("only a regular file is read as a key") {
  const Folder folder;
  const fs::path path = folder / "identity.pem";
  SECTION("not a symbolic link") {
    fs::create_symlink(write_file(folder / "real.pem", kEd25519Pem), path);
    const KeyFileError error = error_of(load_signing_key(path));
    CHECK(error.kind == Kind::unreadable);
    CHECK_THAT(error.message, contains("symbolic link"));
  }
  SECTION("not a folder") {
    fs::create_directory(path);
    const KeyFileError error = error_of(load_signing_key(path));
    CHECK(error.kind == Kind::unreadable);
    CHECK_THAT(error.message, contains("not a regular file"));
  }
  SECTION("not a fifo, and without waiting for its writer") {
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    CHECK(error_of(load_signing_key(path)).kind == Kind::unreadable);
  }
}

TEST_CASE("each kind of useless key file gets its own message") {
  const Folder folder;
  struct Case {
    std::string text;
    Kind kind;
    const char* says;
  };
  std::string damaged = kEd25519Pem;
  damaged[40] = damaged[40] == 'A' ? 'B' : 'A';
  const std::vector<Case> cases{
      {"", Kind::malformed, "no PEM block"},
      {"hello\n", Kind::malformed, "no PEM block"},
      {std::string(20'000, 'x'), Kind::malformed, "20000 bytes"},
      {damaged, Kind::malformed, "damaged"},
      {kEd25519EncryptedPem, Kind::malformed, "passphrase"},
      {kEd25519PublicPem, Kind::wrong_type, "public key"},
      {make_self_signed_certificate(SigningKey::generate(), "x"), Kind::wrong_type, "certificate"},
      {kEcPem, Kind::wrong_type, "another kind"},
      {kEcLegacyPem, Kind::wrong_type, "another kind"},
  };
  for (const Case& c : cases) {
    INFO(c.text.substr(0, 200));
    const KeyFileError error = error_of(load_signing_key(write_file(folder / "k.pem", c.text)));
    CHECK(error.kind == c.kind);
    CHECK_THAT(error.message, contains(c.says) && contains((folder / "k.pem").string()));
  }
}

TEST_CASE("a missing key is created once and then kept") {
  const Folder folder;
  const fs::path path = folder / "identity.pem";
  CHECK(error_of(load_signing_key(path)).kind == Kind::missing);
  const SigningKey created = key_of(load_or_create_signing_key(path));
  CHECK(mode_of(path) == 0600U);
  CHECK(key_of(load_or_create_signing_key(path)).seed() == created.seed());
}

TEST_CASE("trouble with an existing key file never makes a new identity") {
  const Folder folder;
  const fs::path path = folder / "identity.pem";
  for (const std::string& text : {std::string{}, std::string{kEcPem}}) {
    write_file(path, text);
    CHECK(error_of(load_or_create_signing_key(path)).kind != Kind::missing);
    CHECK(read_file(path) == text);
  }
  write_file(path, kEd25519Pem, 0644);
  CHECK(error_of(load_or_create_signing_key(path)).kind == Kind::too_open);
  fs::remove(path);
  fs::create_symlink(folder / "elsewhere", path);
  CHECK(error_of(load_or_create_signing_key(path)).kind == Kind::unreadable);
  CHECK_FALSE(fs::exists(folder / "elsewhere"));
}

}  // namespace
}  // namespace tayga::crypto
