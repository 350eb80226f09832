#include "common/media/slicer.hpp"

#include "common/base/encoding.hpp"
#include "common/wire/frame.hpp"
#include "common/wire/wire_error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seeded_random.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

namespace tayga::media {
namespace {

using crypto::SigningKey;

constexpr TimePoint kStart{};
constexpr WallTime kWall{std::chrono::seconds{1'790'000'000}};

ByteView payload_of(const SharedBytes& frame, wire::FrameType type) {
  const auto header = wire::parse_frame_header(*frame);
  REQUIRE(header);
  REQUIRE(header->type == type);
  REQUIRE(header->payload_size == frame->size() - wire::kFrameHeaderSize);
  return ByteView{*frame}.subspan(wire::kFrameHeaderSize);
}

/// What a receiver makes of the frames: every check that a relay does, then the objects.
class Receiver {
 public:
  struct Object {
    std::string path;
    Bytes bytes;
    bool complete = false;
  };

  explicit Receiver(const StreamId& stream) : stream_{stream} {}

  void take(const SignedSlice& slice) {
    const ByteView payload = payload_of(slice.header_frame, wire::FrameType::slice_header);
    const auto parsed = parse_slice_header(payload);
    REQUIRE(parsed);
    REQUIRE(*parsed == slice.header);
    REQUIRE(verify_slice_header(payload, stream_));
    REQUIRE(parsed->seq == next_seq_);
    next_seq_ = next_seq_.next();
    REQUIRE(slice.chunk_frames.size() == parsed->chunk_count());

    Object& object = objects_[parsed->object];
    REQUIRE_FALSE(object.complete);
    REQUIRE(parsed->offset == object.bytes.size());
    if (parsed->first) object.path = parsed->path;
    for (std::size_t i = 0; i < slice.chunk_frames.size(); ++i) {
      const auto chunk =
          wire::parse_chunk(payload_of(slice.chunk_frames[i], wire::FrameType::chunk));
      REQUIRE(chunk);
      REQUIRE(chunk->stream_tag == wire::to_stream_tag(stream_));
      REQUIRE(chunk->track == parsed->track);
      REQUIRE(chunk->slice_seq == parsed->seq);
      REQUIRE(chunk->index == i);
      REQUIRE(verify_chunk(*parsed, chunk->index, chunk->bytes));
      object.bytes.insert(object.bytes.end(), chunk->bytes.begin(), chunk->bytes.end());
    }
    object.complete = parsed->last;
  }

  [[nodiscard]] const std::map<ObjectId, Object>& objects() const { return objects_; }

 private:
  StreamId stream_;
  SliceSeq next_seq_{0};
  std::map<ObjectId, Object> objects_;
};

std::vector<SignedSlice> drain(Slicer& slicer) {
  std::vector<SignedSlice> out;
  while (auto slice = slicer.poll_slice()) out.push_back(std::move(*slice));
  return out;
}

struct Fixture {
  SigningKey key = SigningKey::generate();
  Slicer slicer{key, TrackId{3}, PublisherEpoch{1'790'000'000}};

  ObjectId open(std::string path, ObjectKind kind = ObjectKind::segment, bool key_frame = false) {
    Slicer::ObjectInfo info;
    info.path = std::move(path);
    info.kind = kind;
    info.key_frame = key_frame;
    return slicer.open(std::move(info), kStart);
  }
};

TEST_CASE("interleaved objects of any size arrive whole, in order and verified") {
  TAYGA_SEEDED_RANDOM(random, 81);
  for (int round = 0; round < 12; ++round) {
    Fixture f;
    Receiver receiver{f.key.stream_id()};
    TimePoint now = kStart;
    WallTime wall = kWall;
    struct Source {
      Bytes bytes;
      std::size_t sent = 0;
    };
    std::map<ObjectId, Source> sources;
    std::set<ObjectId> open;
    std::set<ObjectId> aborted;
    const std::size_t object_count = random.index(6) + 1;
    while (sources.size() < object_count || !open.empty()) {
      const Duration step{static_cast<std::int64_t>(random.between(0, 25'000))};
      now += step;
      wall += step;
      if (const auto due = f.slicer.next_timeout(); due && *due <= now) {
        f.slicer.on_timeout(now, wall);
        CHECK((!f.slicer.next_timeout() || *f.slicer.next_timeout() > now));
      }
      if (sources.size() < object_count && random.one_in(3)) {
        const ObjectId id = f.open("object/" + std::to_string(sources.size()));
        const std::size_t size_max = random.one_in(2) ? 5000 : 400'000;
        sources[id].bytes = random.bytes(random.index(size_max));
        open.insert(id);
      }
      if (!open.empty()) {
        const ObjectId id = *std::next(open.begin(), static_cast<long>(random.index(open.size())));
        Source& source = sources[id];
        const std::size_t left = source.bytes.size() - source.sent;
        if (left == 0 || random.one_in(60)) {
          if (left == 0) f.slicer.finish(id, now, wall);
          if (left != 0) f.slicer.abort(id);
          if (left != 0) aborted.insert(id);
          open.erase(id);
        } else {
          const std::size_t size = std::min(left, random.index(100'000) + 1);
          REQUIRE(
              f.slicer.append(id, ByteView{source.bytes}.subspan(source.sent, size), now, wall));
          source.sent += size;
          CHECK(f.slicer.object_size(id) == source.sent);
        }
      }
      for (const SignedSlice& slice : drain(f.slicer)) receiver.take(slice);
    }
    CHECK_FALSE(f.slicer.next_timeout().has_value());
    for (const auto& [id, source] : sources) {
      const auto found = receiver.objects().find(id);
      if (aborted.contains(id)) {
        CHECK((found == receiver.objects().end() || !found->second.complete));
        continue;
      }
      REQUIRE(found != receiver.objects().end());
      CHECK(found->second.complete);
      CHECK(found->second.path == "object/" + std::to_string(id.value()));
      CHECK((found->second.bytes == source.bytes));
    }
  }
}

TEST_CASE("a bit flipped anywhere in a slice's frames is caught before its bytes are used") {
  TAYGA_SEEDED_RANDOM(random, 82);
  Fixture f;
  const ObjectId id = f.open("a.ts");
  REQUIRE(f.slicer.append(id, random.bytes(30'000), kStart, kWall));
  f.slicer.finish(id, kStart, kWall);
  const SignedSlice slice = f.slicer.poll_slice().value();
  const SliceHeader& header = slice.header;
  for (int i = 0; i < 2000; ++i) {
    const std::size_t which = random.index(slice.chunk_frames.size());
    Bytes bad{slice.chunk_frames[which]->begin(), slice.chunk_frames[which]->end()};
    bad[random.index(bad.size())] ^= static_cast<std::byte>(1U << random.index(8));
    const auto frame = wire::parse_frame_header(bad);
    if (!frame || frame->type != wire::FrameType::chunk ||
        frame->payload_size != bad.size() - wire::kFrameHeaderSize) {
      continue;
    }
    const auto chunk = wire::parse_chunk(ByteView{bad}.subspan(wire::kFrameHeaderSize));
    if (!chunk) continue;
    const bool is_ours = chunk->stream_tag == wire::to_stream_tag(header.stream) &&
                         chunk->track == header.track && chunk->slice_seq == header.seq;
    CHECK_FALSE((is_ours && verify_chunk(header, chunk->index, chunk->bytes)));
  }
}

TEST_CASE("a slice is cut when it is full, at its age, and at the end of its object") {
  Fixture f;
  const ObjectId id = f.open("live.ts");
  CHECK_FALSE(f.slicer.next_timeout().has_value());

  REQUIRE(f.slicer.append(id, Bytes(kSliceSizeMax + 10), kStart, kWall));
  const auto full = drain(f.slicer);
  REQUIRE(full.size() == 1);
  CHECK(full[0].header.length == kSliceSizeMax);
  CHECK(full[0].chunk_frames.size() == kChunksPerSliceMax);

  CHECK(f.slicer.next_timeout() == kStart + kSliceDurationMax);
  f.slicer.on_timeout(kStart + kSliceDurationMax - 1us, kWall);
  CHECK(drain(f.slicer).empty());
  f.slicer.on_timeout(kStart + kSliceDurationMax, kWall);
  const auto aged = drain(f.slicer);
  REQUIRE(aged.size() == 1);
  CHECK(aged[0].header.offset == kSliceSizeMax);
  CHECK(aged[0].header.length == 10);
  CHECK_FALSE(aged[0].header.last);
  CHECK_FALSE(f.slicer.next_timeout().has_value());

  f.slicer.finish(id, kStart, kWall);
  const auto end = drain(f.slicer);
  REQUIRE(end.size() == 1);
  CHECK(end[0].header.length == 0);
  CHECK(end[0].header.last);
  CHECK(end[0].header.offset == kSliceSizeMax + 10);
  CHECK(end[0].chunk_frames.empty());
}

TEST_CASE("a small object is one slice that is first and last, an empty object too") {
  Fixture f;
  const ObjectId small = f.open("index.m3u8", ObjectKind::playlist);
  REQUIRE(f.slicer.append(small, as_bytes("#EXTM3U\n"), kStart, kWall));
  f.slicer.finish(small, kStart, kWall);
  f.slicer.finish(f.open("empty", ObjectKind::other), kStart, kWall);
  const auto slices = drain(f.slicer);
  REQUIRE(slices.size() == 2);
  for (const SignedSlice& slice : slices) {
    CHECK(slice.header.first);
    CHECK(slice.header.last);
    CHECK(slice.header.offset == 0);
    CHECK(parse_slice_header(payload_of(slice.header_frame, wire::FrameType::slice_header)));
  }
  CHECK(slices[0].header.path == "index.m3u8");
  CHECK(slices[0].header.length == 8);
  CHECK(slices[1].header.length == 0);
}

TEST_CASE("the publisher's time is that of the slice's last byte, not of the cut") {
  Fixture f;
  const ObjectId id = f.open("a.ts");
  REQUIRE(f.slicer.append(id, Bytes(10), kStart, kWall));
  REQUIRE(f.slicer.append(id, Bytes(10), kStart, kWall + 5ms));
  f.slicer.on_timeout(kStart + kSliceDurationMax, kWall + 40ms);
  f.slicer.finish(id, kStart, kWall + 50ms);
  const auto slices = drain(f.slicer);
  REQUIRE(slices.size() == 2);
  CHECK(slices[0].header.publisher_time == kWall + 5ms);
  CHECK(slices[1].header.publisher_time == kWall + 50ms);
}

TEST_CASE("an object's kind and key frame decide its priority") {
  Fixture f;
  const auto priority_of = [&f](ObjectKind kind, bool key_frame) {
    f.slicer.finish(f.open("x", kind, key_frame), kStart, kWall);
    const SliceHeader header = f.slicer.poll_slice().value().header;
    CHECK(header.kind == kind);
    CHECK(header.key_frame == key_frame);
    return header.priority;
  };
  CHECK(priority_of(ObjectKind::init, false) == Priority::init);
  CHECK(priority_of(ObjectKind::playlist, false) == Priority::playlist);
  CHECK(priority_of(ObjectKind::catalog, false) == Priority::playlist);
  CHECK(priority_of(ObjectKind::segment, true) == Priority::key_frame);
  CHECK(priority_of(ObjectKind::segment, false) == Priority::rest);
  CHECK(priority_of(ObjectKind::other, false) == Priority::rest);
}

TEST_CASE("an object beyond the largest size takes nothing more and can be given up") {
  Fixture f;
  const ObjectId id = f.open("huge.ts");
  const Bytes part(4 * 1024 * 1024);
  for (std::size_t sent = 0; sent < kObjectSizeMax; sent += part.size()) {
    REQUIRE(f.slicer.append(id, part, kStart, kWall));
    (void)drain(f.slicer);
  }
  CHECK(f.slicer.append(id, Bytes(1), kStart, kWall).error() == wire::WireErrc::bad_field);
  CHECK(f.slicer.object_size(id) == kObjectSizeMax);
  f.slicer.abort(id);
  CHECK(drain(f.slicer).empty());
  CHECK(f.open("next.ts") == id.next());
}

}  // namespace
}  // namespace tayga::media
