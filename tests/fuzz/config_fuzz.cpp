#include "common/config/reader.hpp"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

using namespace tayga;

/// Uses every kind of getter; what it returns must survive being printed and read again.
std::string read_all(config::Reader& reader) {
  config::Section root = reader.root();
  std::string out = root.choice("log_level", "info", {"debug", "info", "warn"});
  config::Section upload = root.section("upload");
  out += ' ' + std::to_string(upload.rate_bps("cap", 1'000'000));
  out += ' ' + std::to_string(upload.size_bytes("quota", 1'000'000));
  out += upload.boolean("metered", false) ? " yes" : " no";
  config::Section http = upload.section("http");
  out += ' ' + std::to_string(http.integer("port", 80, {-5, 65535}));
  out += ' ' + std::to_string(http.duration("idle", std::chrono::seconds{1}).count());
  out += ' ' + http.optional_string("name").value_or("-");
  for (const std::string& item : http.strings("list")) out += ' ' + item;
  for (config::Section& stream : root.tables("stream")) out += ' ' + stream.string("name", "n");
  (void)root.secret("token");
  return out;
}

config::SecretFile no_files(const std::string&) {
  return {{}, "is not read here"};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  config::Inputs inputs;
  inputs.file_name = "f";
  inputs.file_text.assign(reinterpret_cast<const char*>(data), size);
  config::Reader reader{inputs, no_files};
  const std::string first = read_all(reader);
  if (!reader.finish().empty()) return 0;
  inputs.file_text = reader.print();
  config::Reader again{inputs, no_files};
  if (read_all(again) != first || !again.finish().empty()) std::abort();
  return 0;
}
