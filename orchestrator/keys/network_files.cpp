#include "orchestrator/keys/network_files.hpp"

#include "orchestrator/keys/startup_error.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <system_error>

namespace tayga::orch {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kTextFileMax = 64 * 1024;

[[noreturn]] void fail(const std::string& what, const fs::path& path, int error_number,
                       const std::string& remedy) {
  const bool denied = error_number == EACCES || error_number == EPERM;
  throw StartupError{
      denied ? ExitCode::no_permission : ExitCode::failed,
      what + " '" + path.string() + "': " + std::strerror(error_number) + "; " + remedy};
}

void sync_directory(const fs::path& dir) {
  const int fd = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;  // a file system that cannot sync a directory orders its own renames
  ::fsync(fd);
  ::close(fd);
}

void write_all(int fd, ByteView contents, const fs::path& path) {
  while (!contents.empty()) {
    const ssize_t written = ::write(fd, contents.data(), contents.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int error_number = errno;
      ::close(fd);
      fail("cannot write", path, error_number, "free space or choose another --state");
    }
    contents = contents.subspan(static_cast<std::size_t>(written));
  }
}

}  // namespace

void make_state_directory(const fs::path& dir) {
  std::error_code ec;
  if (dir.has_parent_path()) fs::create_directories(dir.parent_path(), ec);
  if (::mkdir(dir.c_str(), 0700) == 0) return;
  if (errno != EEXIST) {
    fail("cannot make the state directory", dir, errno,
         "choose a place that you may write to with --state, or run as the service's user");
  }
  struct stat info {};
  if (::stat(dir.c_str(), &info) != 0) fail("cannot look at", dir, errno, "choose another --state");
  if (!S_ISDIR(info.st_mode)) {
    throw StartupError{ExitCode::config, "the state directory '" + dir.string() +
                                             "' is a file; choose another --state"};
  }
  if ((info.st_mode & 0077) != 0 && ::chmod(dir.c_str(), 0700) != 0) {
    fail("others can read the state directory, which holds keys", dir, errno,
         "chmod 700 it as its owner");
  }
}

std::string read_text_file(const fs::path& path, const std::string& remedy) {
  std::ifstream file{path, std::ios::binary};
  if (!file) {
    const int error_number = errno;
    throw StartupError{
        error_number == EACCES ? ExitCode::no_permission : ExitCode::config,
        "cannot read '" + path.string() + "': " + std::strerror(error_number) + "; " + remedy};
  }
  std::string text(kTextFileMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kTextFileMax) {
    throw StartupError{ExitCode::config,
                       "'" + path.string() + "' is larger than any such file; " + remedy};
  }
  return text;
}

void write_file(const fs::path& path, ByteView contents) {
  const fs::path partial = path.string() + ".partial";
  const int fd =
      ::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) fail("cannot write", partial, errno, "check the directory's owner");
  write_all(fd, contents, partial);
  if (::fsync(fd) != 0) {
    const int error_number = errno;
    ::close(fd);
    fail("cannot write", partial, error_number, "free space or choose another --state");
  }
  ::close(fd);
  replace_file(partial, path);
}

void replace_file(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    fail("cannot write", to, errno, "check the directory's owner");
  }
  sync_directory(to.parent_path());
}

std::vector<fs::path> find_online_certificates(const fs::path& dir) {
  std::vector<fs::path> found;
  std::error_code ec;
  for (fs::directory_iterator at{dir, ec}, end; !ec && at != end; at.increment(ec)) {
    const std::string name = at->path().filename().string();
    if (name.starts_with("online-") && name.ends_with(".cert")) found.push_back(at->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace tayga::orch
