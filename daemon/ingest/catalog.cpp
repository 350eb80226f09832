#include "daemon/ingest/catalog.hpp"

#include "common/media/slice.hpp"
#include "daemon/ingest/json_text.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <cstdint>

namespace tayga::ingest {
namespace {

namespace json = boost::json;

constexpr std::uint64_t kVersion = 1;

std::optional<std::uint64_t> to_number(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_uint64()) return value->get_uint64();
  if (value->is_int64() && value->get_int64() >= 0) {
    return static_cast<std::uint64_t>(value->get_int64());
  }
  return std::nullopt;
}

std::optional<std::string> to_path(const json::value* value) {
  if (value == nullptr || !value->is_string()) return std::nullopt;
  std::string path{value->get_string()};
  if (!media::is_safe_path(path)) return std::nullopt;
  return path;
}

std::optional<relay::TrackInfo> to_track(const json::value& value) {
  const json::object* object = value.if_object();
  if (object == nullptr) return std::nullopt;
  const auto id = to_number(*object, "id");
  auto playlist = to_path(object->if_contains("playlist"));
  const auto bitrate = to_number(*object, "bitrate_bps");
  if (!id || *id == 0 || *id > kTracksMax || !playlist || !bitrate) return std::nullopt;
  return relay::TrackInfo{TrackId{static_cast<std::uint32_t>(*id)}, std::move(*playlist), *bitrate};
}

}  // namespace

std::string serialize_catalog(const Catalog& catalog) {
  std::string out = "{\"version\":" + std::to_string(kVersion) +
                    ",\"stripes\":" + std::to_string(catalog.stripe_count) + ",\"tracks\":[";
  for (const relay::TrackInfo& track : catalog.tracks) {
    if (out.back() != '[') out += ',';
    out += "{\"id\":" + std::to_string(track.id.value()) +
           ",\"playlist\":" + json_quote(track.playlist_path) +
           ",\"bitrate_bps\":" + std::to_string(track.bitrate_bps) + "}";
  }
  out += "],\"master\":" + (catalog.master ? json_quote(*catalog.master) : "null") + "}";
  return out;
}

std::optional<Catalog> parse_catalog(std::string_view text) {
  if (text.size() > kCatalogSizeMax) return std::nullopt;
  boost::system::error_code error;
  json::parse_options options;
  options.max_depth = 8;
  const json::value root =
      json::parse(json::string_view{text.data(), text.size()}, error, {}, options);
  const json::object* object = error ? nullptr : root.if_object();
  if (object == nullptr || to_number(*object, "version") != kVersion) return std::nullopt;
  const auto stripes = to_number(*object, "stripes");
  const json::value* tracks = object->if_contains("tracks");
  if (!stripes || *stripes == 0 || *stripes > kStripeCountMax) return std::nullopt;
  if (tracks == nullptr || !tracks->is_array()) return std::nullopt;
  if (tracks->get_array().size() > kTracksMax) return std::nullopt;
  Catalog catalog;
  catalog.stripe_count = static_cast<unsigned>(*stripes);
  for (const json::value& value : tracks->get_array()) {
    auto track = to_track(value);
    if (!track) return std::nullopt;
    const bool known =
        std::ranges::find(catalog.tracks, track->id, &relay::TrackInfo::id) != catalog.tracks.end();
    if (known) return std::nullopt;
    catalog.tracks.push_back(std::move(*track));
  }
  const json::value* master = object->if_contains("master");
  if (master != nullptr && !master->is_null()) {
    catalog.master = to_path(master);
    if (!catalog.master) return std::nullopt;
  }
  return catalog;
}

}  // namespace tayga::ingest
