#include "tests/sim/relay_world.hpp"

#include "common/base/check.hpp"

#include <algorithm>
#include <functional>

namespace tayga::sim {

relay::Now at(TimePoint mono) {
  return {mono, kWallStart + (mono - kStart)};
}

crypto::SigningKey make_key(unsigned number) {
  crypto::init();
  std::array<std::byte, 32> seed{};
  seed[0] = static_cast<std::byte>(number & 0xff);
  seed[1] = static_cast<std::byte>(number >> 8 & 0xff);
  seed[31] = std::byte{0x5a};
  return crypto::SigningKey::from_seed(seed);
}

RelayWorld::RelayWorld()
    : root_key_{make_key(60001)}, online_key_{make_key(60002)}, stream_key_{make_key(60003)} {
  network_.bytes.fill(std::byte{0x4e});
  handle_.bytes.fill(std::byte{0x48});
  online_.key_id = 7;
  online_.not_before_ms = 0;
  online_.not_after_ms = 4'000'000'000'000;
  online_.network = network_;
  online_.key = online_key_.public_key();
  online_.root = root_key_.public_key();
}

wire::AllocationBlob RelayWorld::allocate(const NodeId& sender, const NodeId& receiver,
                                          const Grant& grant) const {
  const auto to_ms = [](WallTime time) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  };
  wire::Allocation allocation;
  allocation.epoch = 1;
  allocation.id.bytes[0] = sender.bytes[0];
  allocation.id.bytes[1] = sender.bytes[1];
  allocation.id.bytes[2] = receiver.bytes[0];
  allocation.id.bytes[3] = receiver.bytes[1];
  allocation.id.bytes[15] = static_cast<std::byte>(grant.number);
  allocation.network = network_;
  allocation.sender = sender;
  allocation.receiver = receiver;
  allocation.stream_handle = handle_;
  allocation.stripe_mask = grant.stripes;
  allocation.max_kbps = 20'000;
  allocation.not_before_ms = to_ms(kWallStart + grant.not_before);
  allocation.not_after_ms = to_ms(kWallStart + grant.not_after);
  allocation.max_bytes = 1ULL << 40;
  allocation.key_id = online_.key_id;
  return media::sign_allocation(allocation, online_key_);
}

relay::StreamDescriptor RelayWorld::descriptor(unsigned stripe_count, unsigned tracks) const {
  relay::StreamDescriptor descriptor;
  descriptor.id = stream();
  descriptor.name = "test";
  descriptor.stripe_count = stripe_count;
  descriptor.handles = {handle_};
  for (unsigned i = 1; i <= tracks; ++i) {
    descriptor.tracks.push_back({TrackId{i}, "track" + std::to_string(i) + ".m3u8", 8'000'000});
  }
  return descriptor;
}

void RelayWorld::introduce(relay::Relay& relay) const {
  relay.on_network(network_);
  relay.on_online_keys({online_});
}

TestPublisher::TestPublisher(const RelayWorld& world, TrackId track, std::uint32_t epoch)
    : slicer_{world.stream_key(), track, PublisherEpoch{epoch}} {}

std::vector<media::SignedSlice> TestPublisher::make(const Object& object, relay::Now now) {
  const bool key_frame = object.kind == media::ObjectKind::segment;
  const ObjectId id = slicer_.open({object.path, object.kind, key_frame}, now.mono);
  TAYGA_CHECK(
      !slicer_.append(id, content_of(object.path, object.size), now.mono, now.wall).has_error());
  slicer_.finish(id, now.mono, now.wall);
  std::vector<media::SignedSlice> slices;
  while (auto slice = slicer_.poll_slice()) slices.push_back(std::move(*slice));
  return slices;
}

std::vector<media::SignedSlice> TestPublisher::segment(unsigned number, std::size_t size,
                                                       relay::Now now) {
  return make({segment_path(number), media::ObjectKind::segment, size}, now);
}

std::vector<media::SignedSlice> TestPublisher::playlist(unsigned version, relay::Now now) {
  return make({"index.m3u8", media::ObjectKind::playlist, 200 + version % 10}, now);
}

std::vector<media::SignedSlice> TestPublisher::init(relay::Now now) {
  return make({"init.mp4", media::ObjectKind::init, 900}, now);
}

std::string segment_path(unsigned number) {
  return "seg" + std::to_string(number) + ".m4s";
}

Bytes content_of(std::string_view path, std::size_t size) {
  Bytes bytes(size);
  std::uint32_t state = 2166136261U;
  for (const char c : path) state = (state ^ static_cast<unsigned char>(c)) * 16777619U;
  for (std::byte& byte : bytes) {
    state = state * 1664525U + 1013904223U;
    byte = static_cast<std::byte>(state >> 24);
  }
  return bytes;
}

Bytes read_all(const relay::ObjectStore& store, const relay::ObjectInfo& object) {
  Bytes all;
  while (all.size() < object.contiguous) {
    const auto part = store.read(object.epoch, object.id, all.size());
    if (!part) break;
    all.insert(all.end(), part->bytes.begin(), part->bytes.end());
  }
  return all;
}

ByteView frame_payload(const SharedBytes& frame) {
  return ByteView{*frame}.subspan(wire::kFrameHeaderSize);
}

wire::FrameType frame_type(const SharedBytes& frame) {
  return wire::parse_frame_header(*frame)->type;
}

}  // namespace tayga::sim
