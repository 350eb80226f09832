#pragma once

#include "common/base/ids.hpp"
#include "common/base/time.hpp"
#include "daemon/core/object_store.hpp"
#include "daemon/ingest/catalog.hpp"
#include "daemon/ingest/playlist.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tayga::playback {

/// All bytes of a complete object. nullopt when it left, or is larger than `size_max`.
std::optional<std::string> read_whole(const relay::ObjectStore& store,
                                      const relay::ObjectInfo& object, std::size_t size_max);

/// What the objects that are here say about a stream: its catalog, and what its playlists list.
///
/// Pure; parses each version once. Everything comes from a verified publisher, but a publisher may
/// be broken or hostile to viewers: sizes are bounded by the parsers.
class StreamView {
 public:
  /// Looks for a newer catalog. nullptr: none is here yet. Valid until the next call.
  const ingest::Catalog* update_catalog(const relay::ObjectStore& presentation);
  [[nodiscard]] const ingest::Catalog* catalog() const noexcept {
    return catalog_ ? &*catalog_ : nullptr;
  }

  struct Listing {
    relay::ObjectInfo object;  ///< the playlist version
    std::string text;          ///< byte for byte
    Duration target{0};
    std::vector<std::string> segments;  ///< as paths, oldest first
    std::vector<std::string> inits;
  };
  /// The newest complete version of a track's playlist. nullptr: none is here yet. Valid until the
  /// next call.
  const Listing* update_listing(const relay::TrackInfo& track, const relay::ObjectStore& store);
  /// The one seen last, also when the track is not followed any more.
  [[nodiscard]] const Listing* listing(TrackId track) const;
  /// The track whose listing seen last has this path.
  [[nodiscard]] std::optional<TrackId> track_listing(std::string_view path) const;

 private:
  struct Version {
    PublisherEpoch epoch;
    ObjectId id;
    friend bool operator==(const Version&, const Version&) = default;
  };
  std::optional<Version> catalog_version_;
  std::optional<ingest::Catalog> catalog_;
  std::map<TrackId, Listing> listings_;
};

/// How far the end of a listing is here; players begin up to three segments before it.
struct EdgeState {
  std::size_t wanted = 0;   ///< at most three
  std::size_t present = 0;  ///< of them, at least their first bytes
};
EdgeState edge_state(const StreamView::Listing& listing, const relay::ObjectStore& store);

/// True when an object that the listing has behind `path` is complete here: `path` then most likely
/// is of a time before this node joined, or lost.
bool is_overtaken(const StreamView::Listing& listing, std::string_view path,
                  const relay::ObjectStore& store);

/// A master playlist for a stream that published none: a variant for each media playlist.
std::string make_master(const ingest::Catalog& catalog);

}  // namespace tayga::playback
