#pragma once

#include "daemon/ingest/playlist.hpp"
#include "daemon/ingest/uri.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace tayga::ingest {

/// True for a path that only this program made up: nothing lies there at an origin.
[[nodiscard]] bool is_made_up_path(std::string_view path) noexcept;

/// Which path of our stream stands for a URL of the origin, and how playlists must say so.
///
/// Pure. What lies in the origin playlist's directory or below keeps its relative path, so
/// playlists that refer to it relatively pass byte for byte. Everything else (another host, another
/// directory, the same path with several queries) becomes "_ext/HASH.EXT", and only those
/// references are rewritten. A key is never carried: its reference becomes the absolute URL at the
/// origin, unless it is absolute already and stays as it is.
class PullPaths {
 public:
  explicit PullPaths(const HttpUrl& root);

  /// What stands for the root playlist itself.
  [[nodiscard]] const std::string& root_path() const noexcept { return root_path_; }

  /// The root playlist was found at `url`, after redirects: what lies beside it there keeps its
  /// relative path. root_path() stays.
  void rebase(const HttpUrl& url);

  struct Resource {
    UriKind kind = UriKind::segment;
    HttpUrl url;
    std::string path;
  };
  struct Translated {
    std::string text;                 ///< the playlist to publish
    std::vector<Resource> resources;  ///< without keys, in the order of the text
  };
  /// `path` is the playlist's own path, `url` where it was found (after redirects).
  [[nodiscard]] Translated translate(const std::string& path, const HttpUrl& url,
                                     std::string_view text, const Playlist& playlist) const;

 private:
  [[nodiscard]] std::string plain_path(const HttpUrl& url) const;

  HttpUrl root_;
  std::string directory_;  // of root_.path, ends with '/'
  std::string root_path_;
};

}  // namespace tayga::ingest
