#pragma once

#include <optional>
#include <string>
#include <string_view>

/// References as playlists use them (RFC 3986), for HTTP only.
namespace tayga::ingest {

struct HttpUrl {
  std::string scheme;     ///< "http" or "https"
  std::string authority;  ///< host and port as written, lower case, never user information
  std::string path;       ///< begins with '/', still percent-encoded, without dot segments
  std::string query;      ///< without '?'
  friend bool operator==(const HttpUrl&, const HttpUrl&) = default;
};

/// nullopt unless it is an absolute http or https URL without user information (RFC 9110, 4.2.4).
/// A fragment is dropped.
std::optional<HttpUrl> parse_http_url(std::string_view text);
std::string to_string(const HttpUrl& url);
[[nodiscard]] bool same_origin(const HttpUrl& a, const HttpUrl& b) noexcept;

/// True for "https://...", "data:...": what does not depend on where the playlist lies.
[[nodiscard]] bool has_scheme(std::string_view reference) noexcept;

/// RFC 3986 section 5.2. nullopt when the result is no http(s) URL.
std::optional<HttpUrl> resolve_url(const HttpUrl& base, std::string_view reference);

/// The decoded path, relative to the stream's root, that `reference` names in a playlist at
/// `base_path`. nullopt when it names another host, an absolute path, or leaves the root: such a
/// reference does not stand for an object of the stream.
std::optional<std::string> resolve_path(std::string_view base_path, std::string_view reference);

/// The shortest reference that a player resolves from a playlist at `base_path` to `path`.
/// Pre: both satisfy media::is_safe_path.
std::string make_reference(std::string_view base_path, std::string_view path);

/// nullopt on a '%' without two hex digits.
std::optional<std::string> percent_decode(std::string_view text);
/// Escapes what may not stand in a path; '/' stays.
std::string percent_encode_path(std::string_view text);

}  // namespace tayga::ingest
