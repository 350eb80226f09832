#include "daemon/upload_month_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string_view>

namespace tayga {
namespace {

constexpr std::string_view kTag = "tayga-upload-month 1 ";
constexpr std::size_t kFileSizeMax = 128;

UploadMonthError make_error(const char* what, const std::filesystem::path& path) {
  return {std::string{what} + " " + path.native() + ": " + std::strerror(errno) +
          "; check that the state directory exists, belongs to taygad's user and has space"};
}

template <class Number>
bool take_number(std::string_view& text, char end, Number& out) {
  const auto [rest, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (ec != std::errc{} || rest == text.data() + text.size() || *rest != end) return false;
  text.remove_prefix(static_cast<std::size_t>(rest - text.data()) + 1);
  return true;
}

/// "tayga-upload-month 1 2026-03 123456\n"
std::optional<relay::MonthRecord> parse_record(std::string_view text) {
  if (!text.starts_with(kTag)) return std::nullopt;
  text.remove_prefix(kTag.size());
  std::int32_t year = 0;
  std::int32_t month = 0;
  relay::MonthRecord record;
  if (!take_number(text, '-', year) || !take_number(text, ' ', month)) return std::nullopt;
  if (!take_number(text, '\n', record.bytes) || !text.empty()) return std::nullopt;
  if (year < 1 || year > 9999 || month < 1 || month > 12) return std::nullopt;
  record.period = year * 12 + month - 1;
  return record;
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

/// A rename lasts only once its folder is on disk.
bool sync_folder(const std::filesystem::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool is_synced = ::fsync(fd) == 0;
  ::close(fd);
  return is_synced;
}

}  // namespace

std::filesystem::path upload_month_path(const std::filesystem::path& state_dir) {
  return state_dir / "upload-month";
}

std::variant<std::optional<relay::MonthRecord>, UploadMonthError> load_upload_month(
    const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0 && errno == ENOENT) return std::optional<relay::MonthRecord>{};
  if (fd < 0) return make_error("cannot open", path);
  std::string text(kFileSizeMax, '\0');
  const ssize_t got = ::read(fd, text.data(), text.size());
  if (got < 0) {
    const UploadMonthError error = make_error("cannot read", path);
    ::close(fd);
    return error;
  }
  ::close(fd);
  text.resize(static_cast<std::size_t>(got));
  const auto record = parse_record(text);
  if (record) return std::optional{*record};
  return UploadMonthError{path.native() +
                          " is damaged: what was uploaded this month is not known; remove the file "
                          "to count from zero"};
}

std::optional<UploadMonthError> save_upload_month(const std::filesystem::path& path,
                                                  const relay::MonthRecord& record) {
  char month[24];
  std::snprintf(month, sizeof month, "%04d-%02d ", record.period / 12, record.period % 12 + 1);
  const std::string text = std::string{kTag} + month + std::to_string(record.bytes) + "\n";
  std::filesystem::path temporary = path;
  temporary += ".new";
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                        S_IRUSR | S_IWUSR);
  if (fd < 0) return make_error("cannot write", temporary);
  const bool is_written = write_all(fd, text) && ::fsync(fd) == 0;
  if (!is_written) {
    const UploadMonthError error = make_error("cannot write", temporary);
    ::close(fd);
    return error;
  }
  ::close(fd);
  if (::rename(temporary.c_str(), path.c_str()) != 0) return make_error("cannot replace", path);
  if (!sync_folder(path.parent_path())) return make_error("cannot sync the folder of", path);
  return std::nullopt;
}

}  // namespace tayga
