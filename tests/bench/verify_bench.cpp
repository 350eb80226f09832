#include "common/base/check.hpp"
#include "common/media/slicer.hpp"
#include "common/wire/frame.hpp"
#include "tests/bench/bench.hpp"

#include <cstdio>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

namespace tayga::bench {

boost::json::object bench_chunk_verify(const Args& args);

namespace {

using media::SignedSlice;

constexpr double kStreamRateBps = 8e6;

/// `seconds` of a live stream as its publisher cuts it: bytes come every millisecond, so a slice
/// ends at its size or its age, whichever is first.
std::vector<SignedSlice> make_stream(const crypto::SigningKey& key, double rate_bps,
                                     int milliseconds) {
  media::Slicer slicer{key, TrackId{1}, PublisherEpoch{1}};
  media::Slicer::ObjectInfo info;
  info.path = "segment.ts";
  TimePoint now{};
  WallTime wall{};
  const ObjectId object = slicer.open(std::move(info), now);
  const Bytes piece(static_cast<std::size_t>(rate_bps / 8 / 1000), std::byte{0x47});
  std::vector<SignedSlice> slices;
  for (int ms = 0; ms < milliseconds; ++ms) {
    if (!slicer.append(object, piece, now, wall)) {
      throw std::invalid_argument{"--rate_bps is beyond the largest object"};
    }
    now += 1ms;
    wall += 1ms;
    slicer.on_timeout(now, wall);
    while (auto slice = slicer.poll_slice()) slices.push_back(std::move(*slice));
  }
  return slices;
}

struct Leaf {
  const media::SliceHeader* header;
  std::size_t index;
  ByteView payload;  // of the chunk frame
};

std::vector<Leaf> leaves_of(const std::vector<SignedSlice>& slices) {
  std::vector<Leaf> leaves;
  for (const SignedSlice& slice : slices) {
    for (std::size_t i = 0; i < slice.chunk_frames.size(); ++i) {
      leaves.push_back(
          Leaf{&slice.header, i, ByteView{*slice.chunk_frames[i]}.subspan(wire::kFrameHeaderSize)});
    }
  }
  return leaves;
}

}  // namespace

boost::json::object bench_chunk_verify(const Args& args) {
  const double seconds = args.number("seconds", 2);
  const double rate_bps = args.number("rate_bps", kStreamRateBps);
  constexpr int kStreamMilliseconds = 1000;
  const crypto::SigningKey key = crypto::SigningKey::generate();
  const std::vector<SignedSlice> slices = make_stream(key, rate_bps, kStreamMilliseconds);
  const std::vector<Leaf> leaves = leaves_of(slices);
  if (leaves.empty()) throw std::invalid_argument{"--rate_bps is too low to make a chunk"};

  const Cost chunk = measure(seconds, [&](std::uint64_t i) {
    const Leaf& leaf = leaves[i % leaves.size()];
    const auto parsed = wire::parse_chunk(leaf.payload);
    TAYGA_CHECK(parsed && media::verify_chunk(*leaf.header, leaf.index, parsed->bytes));
  });
  const Cost header = measure(seconds, [&](std::uint64_t i) {
    const SignedSlice& slice = slices[i % slices.size()];
    const ByteView payload = ByteView{*slice.header_frame}.subspan(wire::kFrameHeaderSize);
    const auto parsed = media::parse_slice_header(payload);
    TAYGA_CHECK(parsed && media::verify_slice_header(payload, parsed->stream));
  });

  double payload_bytes = 0;
  double header_bytes = 0;
  for (const Leaf& leaf : leaves) {
    payload_bytes += static_cast<double>(leaf.header->chunk_size(leaf.index));
    header_bytes += wire::kFrameHeaderSize + wire::kChunkHeaderSize;
  }
  for (const SignedSlice& slice : slices) {
    header_bytes += static_cast<double>(slice.header_frame->size());
  }
  const double chunk_size_mean = payload_bytes / static_cast<double>(leaves.size());
  const double gbps = chunk.per_second() * chunk_size_mean * 8 / 1e9;
  const double stream_seconds = payload_bytes * 8 / rate_bps;
  const double core_share = (chunk.us() * static_cast<double>(leaves.size()) +
                             header.us() * static_cast<double>(slices.size())) /
                            1e6 / stream_seconds;

  std::printf("stream of %.1f Mbit/s: %zu slices and %zu chunks a second, mean chunk %.0f B\n",
              rate_bps / 1e6, slices.size(), leaves.size(), chunk_size_mean);
  std::printf("chunk parse + verify   %8.0f /s   %6.2f us   %.2f Gbit/s\n", chunk.per_second(),
              chunk.us(), gbps);
  std::printf("slice header verify    %8.0f /s   %6.2f us\n", header.per_second(), header.us());
  std::printf("one stream costs %.3f %% of a core and %.2f %% more bytes\n", core_share * 100,
              header_bytes / payload_bytes * 100);
  return {{"bench", "chunk_verify"},
          {"rate_bps", rate_bps},
          {"chunks_per_s", chunk.per_second()},
          {"chunk_us", chunk.us()},
          {"chunk_gbps", gbps},
          {"slice_headers_per_s", header.per_second()},
          {"slice_header_us", header.us()},
          {"slices_per_stream_s", slices.size()},
          {"chunks_per_stream_s", leaves.size()},
          {"core_share_per_stream", core_share},
          {"overhead_ratio", header_bytes / payload_bytes}};
}

}  // namespace tayga::bench
