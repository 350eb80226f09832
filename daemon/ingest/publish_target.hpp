#pragma once

#include "common/base/ids.hpp"
#include "common/media/slicer.hpp"
#include "daemon/core/assignment.hpp"

#include <string>
#include <vector>

namespace tayga::ingest {

/// Where a publisher's output goes: the relay and the control session, joined by daemon/app.
/// Calls come on the daemon's executor and return at once.
class PublishTarget {
 public:
  virtual ~PublishTarget() = default;
  /// First bytes of a run of the publisher. `stream.tracks` may still grow: see on_tracks.
  virtual void on_started(const relay::StreamDescriptor& stream, PublisherEpoch epoch) = 0;
  virtual void on_slice(media::SignedSlice slice) = 0;
  /// The whole list, each time a rendition appears or its measured bitrate moves by a quarter.
  virtual void on_tracks(const StreamId& stream, PublisherEpoch epoch,
                         const std::vector<relay::TrackInfo>& tracks) = 0;
  virtual void on_stopped(const StreamId& stream) = 0;
};

}  // namespace tayga::ingest
