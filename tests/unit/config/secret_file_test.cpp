#include "common/config/secret_file.hpp"

#include "tests/support/catch.hpp"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace tayga::config;

namespace {

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "tayga-secret-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  [[nodiscard]] std::string write(const std::string& text, mode_t mode) const {
    const std::string file = path_ / "secret";
    std::ofstream{file} << text;
    REQUIRE(::chmod(file.c_str(), mode) == 0);
    return file;
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace

TEST_CASE("a secret file gives its content without the line break at its end") {
  const Folder folder;
  const SecretFile secret = read_secret_file(folder.write(" s3cret \r\n\n", 0640));
  CHECK(secret.problem.empty());
  CHECK(secret.value == " s3cret");
}

TEST_CASE("a secret file that others may read is refused with the remedy") {
  const Folder folder;
  const std::string file = folder.write("x", 0644);
  const SecretFile secret = read_secret_file(file);
  CHECK(secret.value.empty());
  CHECK(secret.problem == "has mode 0644, so others may read the secret; run chmod 600 " + file);
}

TEST_CASE("a secret file that is missing, empty, too large or no file is refused") {
  const Folder folder;
  CHECK(read_secret_file(folder.path() / "none").problem ==
        "cannot be read: No such file or directory");
  CHECK(read_secret_file(folder.write(" \n", 0600)).problem == "is empty");
  CHECK(read_secret_file(folder.write(std::string(kSecretSizeMax + 1, 'a'), 0600)).problem ==
        "is larger than 64 KiB");
  CHECK(read_secret_file(folder.path()).problem == "is not a regular file");
  const std::string fifo = folder.path() / "fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  CHECK(read_secret_file(fifo).problem == "is not a regular file");
}
