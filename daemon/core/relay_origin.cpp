#include "daemon/core/relay_impl.hpp"

#include <algorithm>
#include <utility>

namespace tayga::relay {
namespace {

constexpr std::size_t kOriginRequestsMax = 8;

}  // namespace

bool Relay::Impl::ask_origin(StreamState& stream, TrackState& track, const MissingSlice& slice) {
  if (stream.descriptor.origin_url.empty() || stream.rescue.share_permille == 0) return false;
  if (!track.store || !slice.object) return false;
  if (origin_requests_.size() >= kOriginRequestsMax) return false;
  const auto object = track.store->get(*track.epoch, *slice.object);
  const auto hole = track.store->first_hole(*track.epoch, *slice.object);
  if (!object || !hole || object->path.empty()) return false;
  if (object->kind != media::ObjectKind::segment && object->kind != media::ObjectKind::init) {
    return false;  // playlists are our gateway's own
  }
  for (const auto& [id, request] : origin_requests_) {
    const bool same_track = request.stream == stream.descriptor.id && request.track == track.id;
    if (same_track && request.epoch == *track.epoch && request.object == *slice.object) return true;
  }
  const std::uint64_t length = hole->end == 0 ? 0 : hole->end - hole->begin;
  if (length > origin_size_max(length)) return false;  // more than this node has room for
  const std::uint64_t id = next_request_++;
  origin_requests_[id] =
      OriginRequest{stream.descriptor.id,    track.id, *track.epoch, *slice.object, hole->begin,
                    origin_size_max(length), {}};
  ++counters.origin_requests;
  push(FetchOrigin{id, stream.descriptor.id, stream.descriptor.origin_url, object->path,
                   hole->begin, length});
  return true;
}

/// All requests together take no more than the cache may.
std::uint64_t Relay::Impl::origin_size_max(std::uint64_t length) const noexcept {
  const std::uint64_t room =
      std::min<std::uint64_t>(media::kObjectSizeMax, limits_.cache_bytes / kOriginRequestsMax);
  return length == 0 ? room : std::min(length, room);
}

void Relay::Impl::on_origin_bytes(std::uint64_t request, std::uint64_t offset, ByteView bytes,
                                  Now now) {
  const auto found = origin_requests_.find(request);
  if (found == origin_requests_.end()) return;
  OriginRequest& asked = found->second;
  const bool follows = offset == asked.offset + asked.bytes.size();
  if (!follows || asked.bytes.size() + bytes.size() > asked.size_max) return;
  const std::uint64_t known = asked.offset + asked.bytes.size();
  asked.bytes.insert(asked.bytes.end(), bytes.begin(), bytes.end());
  counters.origin_bytes += bytes.size();
  TrackState* track = find_track(asked.stream, asked.track);
  if (track == nullptr) return;
  track->stream->origin_bytes += bytes.size();
  take_origin_slices(asked, known, *track, now);
  if (cache_.over_bytes()) evict(now);
  settle(now);
}

/// Chunks whose signed hash is known become like any other: verified, cached, passed on. Those that
/// ended before `known` were looked at before.
void Relay::Impl::take_origin_slices(const OriginRequest& request, std::uint64_t known,
                                     TrackState& track, Now now) {
  if (!track.epoch || *track.epoch != request.epoch) return;
  const std::uint64_t end = request.offset + request.bytes.size();
  std::vector<SlicePtr> touched;
  for (const auto& [seq, slice] : track.window.slices()) {
    const media::SliceHeader& header = slice->header;
    if (header.object != request.object || slice->complete()) continue;
    if (header.offset + header.length > request.offset && header.offset < end) {
      touched.push_back(slice);
    }
  }
  for (const SlicePtr& slice : touched) {
    const media::SliceHeader& header = slice->header;
    for (std::size_t i = 0; i < header.chunk_count(); ++i) {
      const std::uint64_t at = header.offset + i * wire::kChunkSize;
      const std::size_t size = header.chunk_size(i);
      if ((slice->have & chunk_bit(i)) != 0 || at < request.offset || at + size > end) continue;
      if (at + size <= known) continue;
      const ByteView chunk = ByteView{request.bytes}.subspan(at - request.offset, size);
      if (!media::verify_chunk(header, i, chunk)) continue;  // another version: of no use
      const wire::ChunkView view{track.stream->tag, track.id, header.seq,
                                 static_cast<std::uint16_t>(i), chunk};
      ++counters.chunks_verified;
      add_frame(track, slice, i + 1, wire::serialize_chunk_frame(view), now);
    }
  }
}

/// Of the first hole, what came and lies before the next slice that is known by its header: that
/// one's bytes either matched or are not the publisher's. Result: begin and end in the object.
std::pair<std::uint64_t, std::uint64_t> Relay::Impl::unsigned_part(const OriginRequest& asked,
                                                                   const TrackState& track) {
  const auto hole = track.store->first_hole(asked.epoch, asked.object);
  if (!hole || hole->begin < asked.offset) return {0, 0};
  std::uint64_t end = asked.offset + asked.bytes.size();
  if (hole->end != 0) end = std::min(end, hole->end);
  for (const auto& [seq, slice] : track.window.slices()) {
    const media::SliceHeader& header = slice->header;
    if (header.object != asked.object || header.offset + header.length <= hole->begin) continue;
    end = std::min(end, std::max(header.offset, hole->begin));
  }
  return {hole->begin, end};
}

void Relay::Impl::on_origin_done(std::uint64_t request, const OriginDone& done, Now now) {
  const auto found = origin_requests_.find(request);
  if (found == origin_requests_.end()) return;
  OriginRequest asked = std::move(found->second);
  origin_requests_.erase(found);
  TrackState* track = find_track(asked.stream, asked.track);
  if (track == nullptr || !track->store || !done.ok || asked.bytes.empty()) return;
  // What no slice header covers is the origin's word: this node's player may have it, nobody else.
  const auto [begin, end] = unsigned_part(asked, *track);
  if (begin < end) {
    const ByteView part = ByteView{asked.bytes}.subspan(begin - asked.offset, end - begin);
    track->store->on_origin(asked.epoch, asked.object, begin,
                            std::make_shared<const Bytes>(part.begin(), part.end()), done.size, now,
                            late_rule(*track));
    update_playout(*track, now);
    tell_progress(*track);
  }
  settle(now);
}

}  // namespace tayga::relay
