#pragma once

#include "common/crypto/ed25519.hpp"
#include "common/media/receipts.hpp"
#include "common/media/slicer.hpp"
#include "daemon/core/relay.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// What the relay's tests share: one network with its keys, one stream with its publisher. All from
/// fixed seeds, so that every run is the same.
namespace tayga::sim {

inline constexpr TimePoint kStart{Duration{10s}};
inline constexpr WallTime kWallStart{Duration{1'700'000'000s}};

/// The two clocks run together.
relay::Now at(TimePoint mono);
crypto::SigningKey make_key(unsigned number);

class RelayWorld {
 public:
  RelayWorld();

  struct Grant {
    relay::StripeMask stripes = ~relay::StripeMask{0};
    Duration not_before = -60s;  ///< from kWallStart
    Duration not_after = 600s;
    unsigned number = 1;  ///< makes the id different
  };
  [[nodiscard]] wire::AllocationBlob allocate(const NodeId& sender, const NodeId& receiver,
                                              const Grant& grant) const;
  [[nodiscard]] wire::AllocationBlob allocate(const NodeId& sender, const NodeId& receiver) const {
    return allocate(sender, receiver, Grant{});
  }
  /// Tracks 0 and 1..`tracks`.
  [[nodiscard]] relay::StreamDescriptor descriptor(unsigned stripe_count,
                                                   unsigned tracks = 1) const;
  /// Tells a relay whom to trust.
  void introduce(relay::Relay& relay) const;

  [[nodiscard]] const crypto::SigningKey& stream_key() const { return stream_key_; }
  [[nodiscard]] StreamId stream() const { return stream_key_.stream_id(); }

 private:
  crypto::SigningKey root_key_;
  crypto::SigningKey online_key_;
  crypto::SigningKey stream_key_;
  NetworkId network_;
  StreamHandle handle_;
  media::OnlineKey online_;
};

/// Makes signed slices of one track.
class TestPublisher {
 public:
  TestPublisher(const RelayWorld& world, TrackId track, std::uint32_t epoch = 1000);

  struct Object {
    std::string path;
    media::ObjectKind kind = media::ObjectKind::segment;
    std::size_t size = 0;
  };
  /// All slices of one object; its bytes are a function of path and position.
  std::vector<media::SignedSlice> make(const Object& object, relay::Now now);
  std::vector<media::SignedSlice> segment(unsigned number, std::size_t size, relay::Now now);
  std::vector<media::SignedSlice> playlist(unsigned version, relay::Now now);
  std::vector<media::SignedSlice> init(relay::Now now);

 private:
  media::Slicer slicer_;
};

std::string segment_path(unsigned number);
Bytes content_of(std::string_view path, std::size_t size);
/// The object's bytes as a player reads them; what is contiguous from the start.
Bytes read_all(const relay::ObjectStore& store, const relay::ObjectInfo& object);
ByteView frame_payload(const SharedBytes& frame);
wire::FrameType frame_type(const SharedBytes& frame);

}  // namespace tayga::sim
