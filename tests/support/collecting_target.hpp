#pragma once

#include "common/media/slice.hpp"
#include "common/wire/frame.hpp"
#include "daemon/ingest/publish_target.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace tayga::test {

/// A PublishTarget that checks what it gets as a relay would, and puts the objects together again.
class CollectingTarget final : public ingest::PublishTarget {
 public:
  struct Object {
    TrackId track;
    PublisherEpoch epoch;
    ObjectId id;
    media::ObjectKind kind = media::ObjectKind::segment;
    std::string path;
    std::string bytes;
    std::size_t slices = 0;
    bool complete = false;
    bool key_frame = false;
  };

  void on_started(const relay::StreamDescriptor& stream, PublisherEpoch epoch) override {
    started.push_back(stream);
    epochs.push_back(epoch);
  }

  void on_slice(media::SignedSlice slice) override {
    const media::SliceHeader& header = slice.header;
    const ByteView frame{*slice.header_frame};
    if (!media::verify_slice_header(frame.subspan(wire::kFrameHeaderSize), header.stream)) ++bad;
    auto& next = next_seq_[{header.epoch, header.track}];
    if (header.seq.value() != next++) ++bad;
    const auto key = std::tuple{header.epoch, header.track, header.object};
    const auto [entry, added] = index_.try_emplace(key, objects.size());
    if (added) {
      objects.push_back({header.track,
                         header.epoch,
                         header.object,
                         header.kind,
                         header.path,
                         {},
                         0,
                         false,
                         header.key_frame});
      if (!header.first) ++bad;
    }
    Object& object = objects[entry->second];
    if (header.offset != object.bytes.size() || object.complete) ++bad;
    for (std::size_t i = 0; i < slice.chunk_frames.size(); ++i) {
      const ByteView payload = ByteView{*slice.chunk_frames[i]}.last(header.chunk_size(i));
      if (!media::verify_chunk(header, i, payload)) ++bad;
      object.bytes += as_text(payload);
    }
    ++object.slices;
    object.complete = header.last;
  }

  void on_tracks(const StreamId&, PublisherEpoch,
                 const std::vector<relay::TrackInfo>& list) override {
    tracks.push_back(list);
  }

  void on_stopped(const StreamId&) override { ++stopped; }

  /// "1:v0_1.ts" for each object in the order of their first slices, catalogs left out.
  [[nodiscard]] std::vector<std::string> order() const {
    std::vector<std::string> out;
    for (const Object& object : objects) {
      if (object.kind == media::ObjectKind::catalog) continue;
      out.push_back(std::to_string(object.track.value()) + ":" + object.path);
    }
    return out;
  }

  /// The newest object of that path; nullptr: none.
  [[nodiscard]] const Object* find(const std::string& path) const {
    const auto found = std::find_if(objects.rbegin(), objects.rend(),
                                    [&](const Object& object) { return object.path == path; });
    return found == objects.rend() ? nullptr : &*found;
  }

  std::vector<relay::StreamDescriptor> started;
  std::vector<PublisherEpoch> epochs;
  std::vector<std::vector<relay::TrackInfo>> tracks;
  std::vector<Object> objects;  ///< in the order of their first slices
  std::size_t bad = 0;          ///< what a relay would have refused
  std::size_t stopped = 0;

 private:
  std::map<std::tuple<PublisherEpoch, TrackId, ObjectId>, std::size_t> index_;
  std::map<std::pair<PublisherEpoch, TrackId>, std::uint64_t> next_seq_;
};

}  // namespace tayga::test
