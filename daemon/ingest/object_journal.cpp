#include "daemon/ingest/object_journal.hpp"

#include "common/base/encoding.hpp"
#include "common/log/log.hpp"
#include "daemon/ingest/json_text.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace tayga::ingest {
namespace {

std::string to_text(WallTime time) {
  return std::to_string(time.time_since_epoch().count());
}

std::string common_fields(const char* event, const std::string& stream,
                          const PublishedObject& object) {
  return std::string{"{\"event\":\""} + event + "\",\"stream\":" + json_quote(stream) +
         ",\"track\":" + std::to_string(object.track.value()) +
         ",\"epoch\":" + std::to_string(object.epoch.value()) +
         ",\"object\":" + std::to_string(object.object.value()) +
         ",\"path\":" + json_quote(object.path) + ",\"bytes\":" + std::to_string(object.size) +
         ",\"sha256\":\"" + to_hex(object.sha256) +
         "\",\"complete_us\":" + to_text(object.complete);
}

error_code last_error() {
  return {errno, boost::system::system_category()};
}

}  // namespace

Result<std::unique_ptr<ObjectJournal>> ObjectJournal::open(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) return last_error();
  return std::unique_ptr<ObjectJournal>{new ObjectJournal{file, path}};
}

ObjectJournal::ObjectJournal(int file, std::filesystem::path path)
    : file_{file}, path_{std::move(path)} {}

ObjectJournal::~ObjectJournal() {
  ::close(file_);
}

void ObjectJournal::published(const std::string& stream, const PublishedObject& object) {
  write_line(common_fields("published", stream, object) + "}\n");
}

void ObjectJournal::ready(const std::string& stream, const Ready& ready) {
  write_line(common_fields("ready", stream, ready.object) + ",\"ready_us\":" +
             to_text(ready.ready) + ",\"late\":" + (ready.late ? "true" : "false") + "}\n");
}

void ObjectJournal::write_line(const std::string& line) {
  const ::ssize_t written = ::write(file_, line.data(), line.size());
  if (written >= 0 && static_cast<std::size_t>(written) == line.size()) return;
  const error_code error = written < 0 ? last_error() : error_code{};
  if (lines_lost_++ > 0) return;
  log::error("the object journal lost a line; free space or turn the journal off",
             log::field("file", path_.string()), log::field("error", error));
}

}  // namespace tayga::ingest
