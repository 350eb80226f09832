#include "daemon/ingest/playlist.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

namespace tayga::ingest {
namespace {

using Status = boost::system::result<void, PlaylistError>;

constexpr double kDurationMaxS = 24 * 3600;

std::string_view trim_end(std::string_view text) noexcept {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) {
    text.remove_suffix(1);
  }
  return text;
}

/// Long values are cut: an error message is for people.
std::string quoted(std::string_view text) {
  constexpr std::size_t kShown = 60;
  std::string out = "\"";
  out += text.substr(0, kShown);
  if (text.size() > kShown) out += "...";
  return out + "\"";
}

std::optional<std::uint64_t> to_integer(std::string_view text) noexcept {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Duration> to_duration(std::string_view text) noexcept {
  double seconds = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), seconds, std::chars_format::fixed);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (!std::isfinite(seconds) || seconds < 0 || seconds > kDurationMaxS) return std::nullopt;
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>{seconds});
}

struct Attribute {
  std::string_view name;
  std::string_view value;  // without quotes
};

/// Walks `NAME=value,NAME="quoted, value"` (RFC 8216 section 4.2).
class AttributeList {
 public:
  explicit AttributeList(std::string_view text) noexcept : rest_{text} {}

  /// nullopt at the end, or when the list is broken: see ok().
  std::optional<Attribute> next() noexcept {
    while (!rest_.empty() && rest_.front() == ' ') rest_.remove_prefix(1);
    if (rest_.empty()) return std::nullopt;
    const std::size_t equals = rest_.find_first_of("=,\"");
    if (equals == std::string_view::npos || equals == 0 || rest_[equals] != '=') return fail();
    Attribute attribute{trim_end(rest_.substr(0, equals)), {}};
    rest_.remove_prefix(equals + 1);
    if (rest_.starts_with('"')) {
      const std::size_t close = rest_.find('"', 1);
      if (close == std::string_view::npos) return fail();
      attribute.value = rest_.substr(1, close - 1);
      rest_.remove_prefix(close + 1);
    } else {
      attribute.value = trim_end(rest_.substr(0, rest_.find(',')));
      rest_.remove_prefix(std::min(rest_.find(','), rest_.size()));
    }
    while (!rest_.empty() && rest_.front() == ' ') rest_.remove_prefix(1);
    if (!rest_.empty()) {
      if (rest_.front() != ',') return fail();
      rest_.remove_prefix(1);
    }
    return attribute;
  }

  [[nodiscard]] bool ok() const noexcept { return ok_; }

 private:
  std::optional<Attribute> fail() noexcept {
    ok_ = false;
    rest_ = {};
    return std::nullopt;
  }

  std::string_view rest_;
  bool ok_ = true;
};

/// The state of one pass over a playlist's lines.
class Parser {
 public:
  explicit Parser(std::string_view text) noexcept : text_{text} {}

  boost::system::result<Playlist, PlaylistError> run();

 private:
  Status on_line(std::string_view line);
  Status on_tag(std::string_view name, std::string_view value);
  Status on_media_tag(std::string_view name, std::string_view value);
  Status on_uri(std::string_view line);
  Status on_extinf(std::string_view value);
  Status on_stream_inf(std::string_view value);
  /// Finds URI="..." and notes it; `required` says whether the tag is broken without one.
  Status on_uri_attribute(std::string_view tag, std::string_view value, UriKind kind,
                          bool required);
  Status add_uri(UriKind kind, std::string_view uri);
  Status finish();

  [[nodiscard]] PlaylistError error(std::string what) const { return {line_, std::move(what)}; }

  std::string_view text_;
  std::size_t line_ = 0;
  bool saw_header_ = false;
  bool is_master_ = false;
  bool is_media_ = false;
  std::optional<Variant> open_variant_;
  std::optional<MediaSegment> open_segment_;  // EXTINF was read, its URI was not
  bool discontinuity_ = false;
  bool byte_range_ = false;
  std::optional<Duration> target_duration_;
  MasterPlaylist master_;
  MediaPlaylist media_;
  std::vector<PlaylistUri> uris_;
};

boost::system::result<Playlist, PlaylistError> Parser::run() {
  if (text_.size() > kPlaylistSizeMax) {
    return error("larger than " + std::to_string(kPlaylistSizeMax) + " bytes");
  }
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  std::string_view rest = text_;
  if (rest.starts_with(kByteOrderMark)) rest.remove_prefix(kByteOrderMark.size());
  while (!rest.empty()) {
    ++line_;
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    if (end > kPlaylistLineSizeMax) {
      return error("longer than " + std::to_string(kPlaylistLineSizeMax) + " bytes");
    }
    if (const Status done = on_line(trim_end(rest.substr(0, end))); !done) return done.error();
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (const Status done = finish(); !done) return done.error();
  Playlist playlist;
  playlist.uris = std::move(uris_);
  if (is_master_) {
    playlist.body = std::move(master_);
  } else {
    playlist.body = std::move(media_);
  }
  return playlist;
}

Status Parser::on_line(std::string_view line) {
  if (!saw_header_) {
    if (line != "#EXTM3U") return error("must be #EXTM3U, but is " + quoted(line));
    saw_header_ = true;
    return {};
  }
  if (line.empty()) return {};
  const bool printable =
      std::ranges::all_of(line, [](char c) { return (c < 0 || c >= 0x20) && c != 0x7F; });
  if (!printable) return error("has a control character");
  if (line.front() != '#') return on_uri(line);
  if (!line.starts_with("#EXT")) return {};  // a comment
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return on_tag(line, {});
  return on_tag(line.substr(0, colon), line.substr(colon + 1));
}

Status Parser::on_tag(std::string_view name, std::string_view value) {
  if (name == "#EXT-X-STREAM-INF") return on_stream_inf(value);
  if (name == "#EXT-X-I-FRAME-STREAM-INF") {
    is_master_ = true;
    return {};
  }
  if (name == "#EXT-X-MEDIA") {
    is_master_ = true;
    return on_uri_attribute(name, value, UriKind::rendition, false);
  }
  if (name == "#EXT-X-SESSION-KEY") {
    is_master_ = true;
    return on_uri_attribute(name, value, UriKind::key, true);
  }
  if (name == "#EXT-X-INDEPENDENT-SEGMENTS") {
    media_.independent_segments = true;
    return {};
  }
  return on_media_tag(name, value);
}

Status Parser::on_media_tag(std::string_view name, std::string_view value) {
  const auto mark_media = [this] { is_media_ = true; };
  if (name == "#EXTINF") return mark_media(), on_extinf(value);
  if (name == "#EXT-X-KEY") return mark_media(), on_uri_attribute(name, value, UriKind::key, false);
  if (name == "#EXT-X-MAP") return mark_media(), on_uri_attribute(name, value, UriKind::map, true);
  if (name == "#EXT-X-PART") {
    return mark_media(), on_uri_attribute(name, value, UriKind::part, true);
  }
  if (name == "#EXT-X-TARGETDURATION") {
    mark_media();
    target_duration_ = to_duration(value);
    if (!target_duration_) return error("#EXT-X-TARGETDURATION is no duration: " + quoted(value));
  } else if (name == "#EXT-X-MEDIA-SEQUENCE") {
    mark_media();
    const auto sequence = to_integer(value);
    if (!sequence) return error("#EXT-X-MEDIA-SEQUENCE is no number: " + quoted(value));
    media_.media_sequence = *sequence;
  } else if (name == "#EXT-X-BYTERANGE") {
    mark_media();
    byte_range_ = media_.byte_ranges = true;
  } else if (name == "#EXT-X-DISCONTINUITY") {
    mark_media();
    discontinuity_ = true;
  } else if (name == "#EXT-X-ENDLIST") {
    mark_media();
    media_.ended = true;
  }
  return {};
}

Status Parser::on_extinf(std::string_view value) {
  const std::string_view number = trim_end(value.substr(0, value.find(',')));
  const auto duration = to_duration(number);
  if (!duration) return error("#EXTINF has no duration: " + quoted(value));
  open_segment_ = MediaSegment{{}, *duration, false, false};
  return {};
}

Status Parser::on_stream_inf(std::string_view value) {
  is_master_ = true;
  if (open_variant_) return error("two #EXT-X-STREAM-INF without a URI between them");
  Variant variant;
  AttributeList list{value};
  while (const auto attribute = list.next()) {
    if (attribute->name != "BANDWIDTH") continue;
    const auto bandwidth = to_integer(attribute->value);
    if (!bandwidth) return error("BANDWIDTH is no number: " + quoted(attribute->value));
    variant.bandwidth_bps = *bandwidth;
  }
  if (!list.ok()) return error("a broken attribute list: " + quoted(value));
  open_variant_ = std::move(variant);
  return {};
}

Status Parser::on_uri_attribute(std::string_view tag, std::string_view value, UriKind kind,
                                bool required) {
  AttributeList list{value};
  std::optional<std::string_view> uri;
  while (const auto attribute = list.next()) {
    if (attribute->name == "URI") uri = attribute->value;
    if (attribute->name == "BYTERANGE") media_.byte_ranges = true;
    // EXT-X-KEY METHOD=NONE and EXT-X-MEDIA of muxed audio have no URI
  }
  if (!list.ok()) return error("a broken attribute list: " + quoted(value));
  if (!uri) {
    if (required) return error(std::string{tag} + " has no URI");
    return {};
  }
  if (kind == UriKind::rendition) master_.renditions.emplace_back(*uri);
  return add_uri(kind, *uri);
}

Status Parser::on_uri(std::string_view line) {
  if (open_variant_) {
    open_variant_->uri = line;
    master_.variants.push_back(std::move(*open_variant_));
    open_variant_.reset();
    return add_uri(UriKind::variant, line);
  }
  if (!open_segment_) {
    return error("a URI without #EXTINF or #EXT-X-STREAM-INF before it: " + quoted(line));
  }
  open_segment_->uri = line;
  open_segment_->discontinuity = std::exchange(discontinuity_, false);
  open_segment_->byte_range = std::exchange(byte_range_, false);
  media_.segments.push_back(std::move(*open_segment_));
  open_segment_.reset();
  return add_uri(UriKind::segment, line);
}

Status Parser::add_uri(UriKind kind, std::string_view uri) {
  if (uri.empty()) return error("an empty URI");
  if (uris_.size() == kPlaylistEntriesMax) {
    return error("more than " + std::to_string(kPlaylistEntriesMax) + " entries");
  }
  const auto offset = static_cast<std::size_t>(uri.data() - text_.data());
  uris_.push_back(PlaylistUri{kind, std::string{uri}, offset, line_});
  return {};
}

Status Parser::finish() {
  line_ = 0;
  if (!saw_header_) return error("is empty");
  if (is_master_ && is_media_) return error("mixes tags of master and media playlists");
  if (!is_master_ && !is_media_) return error("has neither segments nor variants");
  if (open_variant_) return error("ends after #EXT-X-STREAM-INF, without its URI");
  if (open_segment_) return error("ends after #EXTINF, without its URI");
  if (is_master_ && master_.variants.empty()) return error("a master playlist without variants");
  for (const MediaSegment& segment : media_.segments) {
    if (target_duration_) break;
    media_.target_duration = std::max(media_.target_duration, segment.duration);
  }
  if (target_duration_) media_.target_duration = *target_duration_;
  return {};
}

}  // namespace

std::string to_string(const PlaylistError& error) {
  if (error.line == 0) return error.what;
  return "line " + std::to_string(error.line) + ": " + error.what;
}

boost::system::result<Playlist, PlaylistError> parse_playlist(std::string_view text) {
  return Parser{text}.run();
}

bool is_playlist_path(std::string_view path) noexcept {
  const auto ends_with = [path](std::string_view extension) {
    if (path.size() < extension.size()) return false;
    const std::string_view tail = path.substr(path.size() - extension.size());
    return std::ranges::equal(tail, extension, [](char a, char b) {
      return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
    });
  };
  return ends_with(".m3u8") || ends_with(".m3u");
}

}  // namespace tayga::ingest
