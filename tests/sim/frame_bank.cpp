#include "tests/sim/frame_bank.hpp"

#include "common/base/check.hpp"
#include "common/wire/frame.hpp"

#include <limits>

namespace tayga::sim {

void FrameBank::add(const media::SignedSlice& slice, TimePoint now) {
  Run& run = runs_[{slice.header.track, slice.header.epoch}];
  TAYGA_CHECK(slice.header.seq.value() == run.first_seq + run.slices.size());
  Slice& kept = run.slices.emplace_back();
  kept.header = slice.header;
  kept.frames.push_back(slice.header_frame);
  for (const SharedBytes& frame : slice.chunk_frames) {
    kept.frames.push_back(frame);
    const ByteView payload = ByteView{*frame}.subspan(wire::kFrameHeaderSize);
    kept.digests.push_back(crypto::sha256(payload.subspan(wire::kChunkHeaderSize)));
  }
  run.added.push_back(now);
  while (run.added.front() + kFrameMemory < now) {
    if (run.slices.front().header.kind != media::ObjectKind::segment) {
      run.kept.emplace(run.first_seq, std::move(run.slices.front()));
    }
    run.added.pop_front();
    run.slices.pop_front();
    ++run.first_seq;
  }
}

const FrameBank::Slice* FrameBank::find(TrackId track, PublisherEpoch epoch, SliceSeq seq) const {
  const auto run = runs_.find({track, epoch});
  if (run == runs_.end()) return nullptr;
  if (seq.value() < run->second.first_seq) {
    const auto kept = run->second.kept.find(seq.value());
    return kept == run->second.kept.end() ? nullptr : &kept->second;
  }
  const std::uint64_t place = seq.value() - run->second.first_seq;
  return place < run->second.slices.size() ? &run->second.slices[place] : nullptr;
}

bool FrameBank::is_forgotten(TrackId track, SliceSeq seq) const {
  for (auto run = runs_.lower_bound({track, PublisherEpoch{0}});
       run != runs_.end() && run->first.first == track; ++run) {
    if (seq.value() < run->second.first_seq) return true;
  }
  return false;
}

FrameBank::Next FrameBank::next(TrackId track) const {
  const PublisherEpoch last{std::numeric_limits<std::uint32_t>::max()};
  auto run = runs_.upper_bound({track, last});
  if (run == runs_.begin() || (--run)->first.first != track) return {};
  return {run->first.second, run->second.first_seq + run->second.slices.size()};
}

bool FrameBank::is_genuine(const Slice& slice, std::size_t index, const SharedBytes& frame) {
  if (index >= slice.frames.size()) return false;
  const SharedBytes& made = slice.frames[index];
  return made == frame || *made == *frame;
}

FrameBank::Match FrameBank::match_chunk(TrackId track, SliceSeq seq, std::size_t index,
                                        const SharedBytes& frame) const {
  const PublisherEpoch last{std::numeric_limits<std::uint32_t>::max()};
  Match found;
  for (auto run = runs_.upper_bound({track, last}); run != runs_.begin();) {
    --run;
    if (run->first.first != track) break;
    const Slice* slice = find(track, run->first.second, seq);
    if (slice == nullptr) continue;
    if (is_genuine(*slice, index, frame)) return {slice, true};
    if (found.slice == nullptr) found.slice = slice;
  }
  return found;
}

}  // namespace tayga::sim
