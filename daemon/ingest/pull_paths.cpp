#include "daemon/ingest/pull_paths.hpp"

#include "common/base/bytes.hpp"
#include "common/base/encoding.hpp"
#include "common/crypto/hash.hpp"
#include "common/media/slice.hpp"
#include "daemon/ingest/catalog.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace tayga::ingest {
namespace {

constexpr std::string_view kForeignDirectory = "_ext/";
constexpr std::string_view kOwnDirectory = ".tayga/";

/// The name's extension with its dot, when it is a plain short one; it decides the media type.
std::string extension_of(std::string_view path) {
  constexpr std::size_t kExtensionSizeMax = 8;
  const std::string_view name = path.substr(path.rfind('/') + 1);
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return {};
  const std::string_view extension = name.substr(dot + 1);
  const bool plain = std::ranges::all_of(extension, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  });
  if (!plain || extension.empty() || extension.size() > kExtensionSizeMax) return {};
  return "." + std::string{extension};
}

std::string default_extension(UriKind kind) {
  switch (kind) {
    case UriKind::variant:
    case UriKind::rendition:
      return ".m3u8";
    case UriKind::map:
      return ".mp4";
    case UriKind::segment:
    case UriKind::part:
    case UriKind::key:
      break;
  }
  return ".ts";
}

std::string foreign_path(const HttpUrl& url, UriKind kind) {
  constexpr std::size_t kShownHash = 12;
  const auto digest = crypto::sha256(as_bytes(to_string(url)));
  std::string extension = extension_of(url.path);
  if (extension.empty()) extension = default_extension(kind);
  return std::string{kForeignDirectory} + to_hex(ByteView{digest}.first(kShownHash)) + extension;
}

bool is_list(UriKind kind) noexcept {
  return kind == UriKind::variant || kind == UriKind::rendition;
}

}  // namespace

bool is_made_up_path(std::string_view path) noexcept {
  return path.starts_with(kForeignDirectory) || path.starts_with(kOwnDirectory);
}

PullPaths::PullPaths(const HttpUrl& root) {
  rebase(root);
  const std::string plain = plain_path(root);
  root_path_ = is_playlist_path(plain) ? plain : "index.m3u8";
}

void PullPaths::rebase(const HttpUrl& url) {
  root_ = url;
  directory_ = url.path.substr(0, url.path.rfind('/') + 1);
}

/// Empty when the URL needs a name of ours.
std::string PullPaths::plain_path(const HttpUrl& url) const {
  if (!same_origin(url, root_) || !url.path.starts_with(directory_)) return {};
  const auto path = percent_decode(std::string_view{url.path}.substr(directory_.size()));
  if (!path || !media::is_safe_path(*path)) return {};
  if (is_made_up_path(*path)) return {};
  return *path;
}

PullPaths::Translated PullPaths::translate(const std::string& path, const HttpUrl& url,
                                           std::string_view text, const Playlist& playlist) const {
  std::vector<std::optional<HttpUrl>> urls;
  std::map<std::string, std::set<std::string>> queries;  // of each plain path
  for (const PlaylistUri& uri : playlist.uris) {
    urls.push_back(resolve_url(url, uri.text));
    if (urls.back()) queries[plain_path(*urls.back())].insert(urls.back()->query);
  }
  Translated out;
  std::size_t copied = 0;
  const auto replace = [&](const PlaylistUri& uri, const std::string& with) {
    out.text += text.substr(copied, uri.offset - copied);
    out.text += with;
    copied = uri.offset + uri.text.size();
  };
  for (std::size_t i = 0; i < urls.size(); ++i) {
    const PlaylistUri& uri = playlist.uris[i];
    if (!urls[i]) continue;  // "data:" and the like explain themselves
    if (uri.kind == UriKind::key) {
      if (!has_scheme(uri.text)) replace(uri, to_string(*urls[i]));
      continue;
    }
    std::string ours = plain_path(*urls[i]);
    const bool plain = !ours.empty() && queries[ours].size() == 1 &&
                       (!is_list(uri.kind) || is_playlist_path(ours));
    if (!plain) ours = foreign_path(*urls[i], uri.kind);
    if (is_list(uri.kind) && !is_playlist_path(ours)) ours += ".m3u8";
    if (resolve_path(path, uri.text) != ours) replace(uri, make_reference(path, ours));
    out.resources.push_back({uri.kind, *urls[i], std::move(ours)});
  }
  out.text += text.substr(copied);
  return out;
}

}  // namespace tayga::ingest
