#include "daemon/ingest/track_map.hpp"

#include "daemon/ingest/uri.hpp"

#include <algorithm>
#include <array>

namespace tayga::ingest {
namespace {

constexpr std::array<std::string_view, 18> kMediaExtensions{
    "ts",  "m4s", "mp4", "m4v", "m4a", "m4f", "cmfv",   "cmfa", "cmft",
    "aac", "mp3", "ac3", "ec3", "vtt", "mpg", "webvtt", "ttml", "m2ts"};

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

char to_lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string_view extension_of(std::string_view path) noexcept {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  const std::size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? std::string_view{} : name.substr(dot + 1);
}

}  // namespace

PathClass classify_path(std::string_view path) noexcept {
  if (is_playlist_path(path)) return PathClass::playlist;
  const std::string_view extension = extension_of(path);
  const auto same = [extension](std::string_view known) {
    return std::ranges::equal(extension, known, {}, [](char c) { return to_lower(c); });
  };
  return std::ranges::any_of(kMediaExtensions, same) ? PathClass::media : PathClass::other;
}

std::optional<std::string> to_stem(std::string_view path) {
  const std::size_t name = path.rfind('/') + 1;  // npos + 1: no directory
  std::size_t end = path.rfind('.');
  if (end == std::string_view::npos || end < name) end = path.size();
  while (end > name && !is_digit(path[end - 1])) --end;
  std::size_t begin = end;
  while (begin > name && is_digit(path[begin - 1])) --begin;
  if (begin == end) return std::nullopt;
  std::string stem{path.substr(0, begin)};
  stem += '#';
  stem += path.substr(end);
  return stem;
}

IngestResult<TrackId> TrackMap::track_for(std::string_view playlist_path) {
  const auto known = std::ranges::find(tracks_, playlist_path, &Track::playlist_path);
  if (known != tracks_.end()) return known->id;
  if (tracks_.size() == kTracksMax) {
    return IngestFailure{
        IngestErrc::too_many_tracks,
        "the media playlist " + std::string{playlist_path} + " would be more than " +
            std::to_string(kTracksMax) +
            " renditions; publish fewer, or restart the stream to forget old ones"};
  }
  const TrackId id{static_cast<std::uint32_t>(tracks_.size() + 1)};
  tracks_.push_back(Track{id, std::string{playlist_path}, 0, false});
  names_.emplace_back();
  return id;
}

IngestResult<void> TrackMap::on_master(std::string_view path, const MasterPlaylist& master) {
  std::vector<std::pair<std::string, std::uint64_t>> named;
  const auto add = [&](std::string_view uri, std::uint64_t bandwidth_bps) {
    auto playlist = resolve_path(path, uri);
    if (!playlist) return;  // another host's: players fetch it there
    const auto known = std::ranges::find(named, *playlist, [](const auto& n) { return n.first; });
    if (known == named.end()) named.emplace_back(std::move(*playlist), bandwidth_bps);
  };
  for (const Variant& variant : master.variants) add(variant.uri, variant.bandwidth_bps);
  for (const std::string& uri : master.renditions) add(uri, 0);

  const auto is_new = [this](const auto& n) {
    return std::ranges::find(tracks_, n.first, &Track::playlist_path) == tracks_.end();
  };
  const auto added = static_cast<std::size_t>(std::ranges::count_if(named, is_new));
  if (tracks_.size() + added > kTracksMax) {
    return IngestFailure{IngestErrc::too_many_tracks,
                         "the master playlist " + std::string{path} + " makes " +
                             std::to_string(tracks_.size() + added) + " renditions, more than " +
                             std::to_string(kTracksMax) + "; publish fewer"};
  }
  for (const auto& [playlist, bandwidth_bps] : named) {
    const auto id = track_for(playlist);
    if (!id) return id.error();
    if (bandwidth_bps != 0) tracks_[id->value() - 1].declared_bps = bandwidth_bps;
  }
  master_ = path;
  return {};
}

IngestResult<TrackId> TrackMap::on_media(std::string_view path, const Playlist& playlist) {
  const auto id = track_for(path);
  if (!id) return id.error();
  tracks_[id->value() - 1].seen = true;
  Names& names = names_[id->value() - 1];
  Names fresh;
  for (const PlaylistUri& uri : playlist.uris) {
    if (uri.kind == UriKind::key) continue;
    const auto file = resolve_path(path, uri.text);
    if (!file) continue;
    const bool map = uri.kind == UriKind::map;
    fresh.listed.insert_or_assign(*file,
                                  map ? media::ObjectKind::init : media::ObjectKind::segment);
    if (map) continue;  // an init segment's name says nothing about the next file's
    const auto stem = to_stem(*file);
    if (!stem) continue;
    auto [entry, added] = fresh.stems.try_emplace(*stem);
    if (added) {
      const auto before = names.stems.find(*stem);
      if (before != names.stems.end()) entry->second = before->second;
    }
    Stem& known = entry->second;
    known.proven = known.proven || (!known.last_name.empty() && known.last_name != *file);
    known.last_name = *file;
  }
  names = std::move(fresh);
  return *id;
}

std::optional<TrackMap::Place> TrackMap::find(std::string_view path) const {
  for (std::size_t i = 0; i < names_.size(); ++i) {
    const auto listed = names_[i].listed.find(path);
    if (listed != names_[i].listed.end()) return Place{tracks_[i].id, listed->second};
  }
  const auto stem = to_stem(path);
  if (!stem) return std::nullopt;
  std::optional<Place> owner;
  for (std::size_t i = 0; i < names_.size(); ++i) {
    const auto known = names_[i].stems.find(*stem);
    if (known == names_[i].stems.end()) continue;
    if (owner || !known->second.proven) return std::nullopt;
    owner = Place{tracks_[i].id, media::ObjectKind::segment};
  }
  return owner;
}

}  // namespace tayga::ingest
