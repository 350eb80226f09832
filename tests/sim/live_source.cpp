#include "tests/sim/live_source.hpp"

#include "common/base/check.hpp"

#include <algorithm>
#include <cstring>

namespace tayga::sim {
namespace {

constexpr NodeIndex kGateway = 0;
constexpr std::size_t kKeyFrameWeight = 4;  ///< fragments' worth of bytes
constexpr std::size_t kInitSize = 900;
constexpr std::size_t kPlaylistSize = 320;

}  // namespace

LiveSource::LiveSource(const SimOptions& options, SimNet& net, FrameBank& bank,
                       const SimTrust& trust)
    : options_{options},
      net_{net},
      bank_{bank},
      trust_{trust},
      sizes_{options.seed, 0, Purpose::content},
      contents_{options.seed, 1, Purpose::content},
      fragments_{static_cast<unsigned>(
          std::max<Duration::rep>(1, options.segment.count() / options.fragment.count()))} {}

relay::StreamDescriptor LiveSource::descriptor() const {
  relay::StreamDescriptor made;
  made.id = trust_.stream.stream_id();
  made.name = kSimStream;
  made.stripe_count = options_.stripes;
  made.playout_window = options_.window;
  made.tracks = {{kSimTrack, "index.m3u8", options_.bitrate_bps}};
  if (options_.origin) made.origin_url = "https://origin.example/live/index.m3u8";
  return made;
}

void LiveSource::start(PublisherEpoch epoch) {
  TAYGA_CHECK(!running_);
  running_ = true;
  epoch_ = epoch;
  slicers_.clear();
  for (const TrackId track : {kPresentationTrack, kSimTrack}) {
    slicers_.emplace(track, media::Slicer{trust_.stream, track, epoch});
  }
  publish_small(kPresentationTrack, "master.m3u8", media::ObjectKind::playlist, kPlaylistSize);
  publish_small(kSimTrack, "init.mp4", media::ObjectKind::init, kInitSize);
  step(++run_);
}

void LiveSource::stop() {
  running_ = false;
  open_.reset();
}

/// The key frame weighs kKeyFrameWeight fragments, the rest one each.
std::size_t LiveSource::fragment_end(unsigned fragment) const {
  const std::size_t weights = fragments_ - 1 + kKeyFrameWeight;
  return content_.size() * (fragment + kKeyFrameWeight) / weights;
}

void LiveSource::step(std::uint64_t run) {
  if (run != run_ || !running_) return;
  const relay::Now now = at(net_.now());
  if (!open_) begin_segment();
  media::Slicer& slicer = slicers_.at(kSimTrack);
  const std::size_t begin = fragment_ == 0 ? 0 : fragment_end(fragment_ - 1);
  const std::size_t end = fragment_end(fragment_);
  const ByteView part = ByteView{content_}.subspan(begin, end - begin);
  TAYGA_CHECK(!slicer.append(*open_, part, now.mono, now.wall).has_error());
  // A fragment is an encoder's write: what it brought is cut by the time the next one comes.
  net_.at(net_.now() + media::kSliceDurationMax, [this, run] {
    if (run != run_ || !running_) return;
    const relay::Now later = at(net_.now());
    slicers_.at(kSimTrack).on_timeout(later.mono, later.wall);
    flush(kSimTrack);
  });
  if (++fragment_ == fragments_) finish_segment();
  flush(kSimTrack);
  if (open_ || net_.now() < end_) {
    net_.at(net_.now() + options_.fragment, [this, run] { step(run); });
  }
}

void LiveSource::begin_segment() {
  path_ = segment_path(number_++);
  const relay::Now now = at(net_.now());
  open_ = slicers_.at(kSimTrack).open({path_, media::ObjectKind::segment, true}, now.mono);
  begun_ = now.wall;
  fragment_ = 0;
  const auto us = static_cast<std::uint64_t>(options_.segment.count());
  const std::uint64_t mean = options_.bitrate_bps * us / 8 / 1'000'000;
  content_ = make_content(static_cast<std::size_t>(mean * (900 + sizes_.below(201)) / 1000));
}

void LiveSource::finish_segment() {
  const relay::Now now = at(net_.now());
  slicers_.at(kSimTrack).finish(*open_, now.mono, now.wall);
  flush(kSimTrack);
  tell(kSimTrack, *open_, media::ObjectKind::segment, path_, content_.size(), begun_);
  open_.reset();
  keep_file(path_, std::move(content_));
  publish_small(kSimTrack, "index.m3u8", media::ObjectKind::playlist, kPlaylistSize + number_ % 50);
}

void LiveSource::publish_small(TrackId track, const std::string& path, media::ObjectKind kind,
                               std::size_t size) {
  const relay::Now now = at(net_.now());
  media::Slicer& slicer = slicers_.at(track);
  const ObjectId id = slicer.open({path, kind, false}, now.mono);
  Bytes content = make_content(size);
  TAYGA_CHECK(!slicer.append(id, content, now.mono, now.wall).has_error());
  slicer.finish(id, now.mono, now.wall);
  flush(track);
  tell(track, id, kind, path, size, now.wall);
  keep_file(path, std::move(content));
}

void LiveSource::flush(TrackId track) {
  media::Slicer& slicer = slicers_.at(track);
  while (auto slice = slicer.poll_slice()) {
    bank_.add(*slice, net_.now());
    net_.give(kGateway, [slice = std::move(*slice)](relay::Relay& relay, relay::Now now) {
      relay.on_published(slice, now);
    });
  }
}

void LiveSource::tell(TrackId track, ObjectId id, media::ObjectKind kind, const std::string& path,
                      std::uint64_t size, WallTime begun) {
  if (published_) published_({track, epoch_, id, kind, path, size, begun, at(net_.now()).wall});
}

void LiveSource::keep_file(const std::string& path, Bytes content) {
  if (!options_.origin) return;
  if (files_.insert_or_assign(path, std::move(content)).second) file_order_.push_back(path);
  if (file_order_.size() <= kFilesMax) return;
  files_.erase(file_order_.front());
  file_order_.pop_front();
}

const Bytes* LiveSource::find_file(const std::string& path) const {
  const auto file = files_.find(path);
  return file == files_.end() ? nullptr : &file->second;
}

Bytes LiveSource::make_content(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t at = 0; at < size; at += sizeof(std::uint64_t)) {
    const std::uint64_t word = contents_.next();
    std::memcpy(&bytes[at], &word, std::min(sizeof word, size - at));
  }
  return bytes;
}

}  // namespace tayga::sim
