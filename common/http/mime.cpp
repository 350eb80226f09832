#include "common/http/mime.hpp"

#include "common/http/headers.hpp"

#include <array>

namespace tayga::http {
namespace {

struct Type {
  std::string_view extension;
  std::string_view mime;
};

constexpr std::array kTypes{
    Type{"m3u8", "application/vnd.apple.mpegurl"},
    Type{"m3u", "application/vnd.apple.mpegurl"},
    Type{"mpd", "application/dash+xml"},
    Type{"ts", "video/mp2t"},
    Type{"m4s", "video/iso.segment"},
    Type{"mp4", "video/mp4"},
    Type{"m4v", "video/mp4"},
    Type{"cmfv", "video/mp4"},
    Type{"m4a", "audio/mp4"},
    Type{"cmfa", "audio/mp4"},
    Type{"cmft", "application/mp4"},
    Type{"aac", "audio/aac"},
    Type{"mp3", "audio/mpeg"},
    Type{"ac3", "audio/ac3"},
    Type{"ec3", "audio/eac3"},
    Type{"vtt", "text/vtt"},
    Type{"webvtt", "text/vtt"},
    Type{"key", "application/octet-stream"},
    Type{"html", "text/html; charset=utf-8"},
    Type{"js", "text/javascript; charset=utf-8"},
    Type{"mjs", "text/javascript; charset=utf-8"},
    Type{"css", "text/css; charset=utf-8"},
    Type{"json", "application/json"},
    Type{"txt", "text/plain; charset=utf-8"},
    Type{"svg", "image/svg+xml"},
    Type{"png", "image/png"},
    Type{"jpg", "image/jpeg"},
    Type{"jpeg", "image/jpeg"},
    Type{"ico", "image/x-icon"},
    Type{"woff2", "font/woff2"},
};

}  // namespace

std::string_view mime_type(std::string_view path) noexcept {
  const auto name = path.substr(path.rfind('/') + 1);  // npos + 1 is the whole path
  const auto dot = name.rfind('.');
  if (dot != std::string_view::npos) {
    for (const Type& type : kTypes) {
      if (equal_ignoring_case(name.substr(dot + 1), type.extension)) return type.mime;
    }
  }
  return "application/octet-stream";
}

}  // namespace tayga::http
