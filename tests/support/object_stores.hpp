#pragma once

#include "common/media/slicer.hpp"
#include "daemon/core/object_store.hpp"
#include "daemon/ingest/publish_target.hpp"

#include <map>
#include <string>
#include <utility>

namespace tayga::test {

/// Puts a signed slice into a store, as a relay that verified it does.
inline void store_slice(relay::ObjectStore& store, const media::SignedSlice& slice,
                        relay::Now now) {
  const relay::ObjectStore::Late late{2s, WallTime{}};
  store.on_header(slice.header, now, late);
  for (std::size_t i = 0; i < slice.chunk_frames.size(); ++i) {
    const SharedBytes& frame = slice.chunk_frames[i];
    const ByteView payload = ByteView{*frame}.last(slice.header.chunk_size(i));
    store.on_chunk(slice.header, i, frame, payload, now, late);
  }
}

/// A PublishTarget that keeps all objects, as a viewer that follows every track.
class StoringTarget : public ingest::PublishTarget {
 public:
  void on_started(const relay::StreamDescriptor&, PublisherEpoch) override {}
  void on_slice(media::SignedSlice slice) override {
    store_slice(stores[slice.header.track], slice, {TimePoint{}, slice.header.publisher_time});
  }
  void on_tracks(const StreamId&, PublisherEpoch, const std::vector<relay::TrackInfo>&) override {}
  void on_stopped(const StreamId&) override {}

  std::map<TrackId, relay::ObjectStore> stores;
};

}  // namespace tayga::test
