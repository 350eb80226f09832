#pragma once

#include "common/base/ids.hpp"
#include "common/crypto/ed25519.hpp"
#include "common/crypto/hash.hpp"
#include "common/media/receipts.hpp"
#include "common/media/slicer.hpp"
#include "common/transport/tls/tls_transport.hpp"
#include "daemon/core/relay.hpp"
#include "daemon/peers/relay_driver.hpp"

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace tayga::test {

/// Turns the loop until `done` or the time is over; true when done.
bool run_until(boost::asio::io_context& io, std::chrono::milliseconds limit,
               const std::function<bool()>& done);

/// The orchestrator's part, without an orchestrator: keys, allocations, descriptors.
class TestNetwork {
 public:
  explicit TestNetwork(unsigned stripe_count);

  [[nodiscard]] wire::AllocationBlob allocation(const NodeId& sender, const NodeId& receiver) const;
  [[nodiscard]] relay::StreamDescriptor descriptor() const;
  [[nodiscard]] media::OnlineKey online_key() const;
  [[nodiscard]] const crypto::SigningKey& stream_key() const noexcept { return stream_key_; }
  [[nodiscard]] StreamId stream() const noexcept { return stream_key_.stream_id(); }
  [[nodiscard]] NetworkId network() const noexcept { return network_; }
  [[nodiscard]] unsigned stripe_count() const noexcept { return stripe_count_; }

 private:
  crypto::SigningKey online_key_ = crypto::SigningKey::generate();
  crypto::SigningKey stream_key_ = crypto::SigningKey::generate();
  NetworkId network_{};
  StreamHandle handle_{};
  unsigned stripe_count_;
};

inline constexpr TrackId kTestTrack{1};

/// For tests of other things than failures: on a loaded machine, with sanitizers, an honest parent
/// may be silent for long.
inline relay::RelayLimits patient_limits() {
  relay::RelayLimits limits;
  limits.suspicion_min = 1500ms;
  return limits;
}

/// A relay with real TLS sockets on loopback and no control session: the test assigns.
class TestNode final : public peers::RelayEvents {
 public:
  TestNode(boost::asio::io_context& io, const TestNetwork& network,
           const relay::RelayLimits& limits = patient_limits(),
           peers::UploadGate* upload = nullptr);
  ~TestNode() override;

  /// Every stripe of the track from `parents[stripe mod parents.size()]`.
  void follow(const std::vector<const TestNode*>& parents);
  void follow(const std::map<NodeId, transport::Endpoint>& addresses,
              const std::vector<NodeId>& parents);
  void play();
  /// Cuts all connections at once, as a killed process does.
  void kill();

  [[nodiscard]] NodeId id() const noexcept { return identity_.node_id(); }
  [[nodiscard]] const crypto::SigningKey& identity() const noexcept { return identity_; }
  [[nodiscard]] const transport::Endpoint& endpoint() const noexcept { return endpoint_; }
  [[nodiscard]] relay::Relay& relay() noexcept { return *relay_; }
  [[nodiscard]] peers::RelayDriver& driver() noexcept { return *driver_; }
  [[nodiscard]] const std::vector<relay::Relay::ParentLost>& lost() const noexcept { return lost_; }
  [[nodiscard]] const std::vector<relay::Relay::Tampered>& tampered() const noexcept {
    return tampered_;
  }
  /// SHA-256 of every complete object of the played track, by path.
  [[nodiscard]] std::map<std::string, crypto::Sha256Digest> played() const;
  /// Called when a parent is lost; by default nothing happens.
  std::function<void(const relay::Relay::ParentLost&)> on_lost;

 private:
  void on_parent_lost(const relay::Relay::ParentLost& lost) override;
  void on_fetch_origin(const relay::Relay::FetchOrigin& fetch) override;
  void on_tampered(const relay::Relay::Tampered& tampered) override;
  void on_progress(const StreamId& stream, TrackId track) override;

  boost::asio::io_context& io_;
  const TestNetwork& network_;
  crypto::SigningKey identity_ = crypto::SigningKey::generate();
  std::unique_ptr<relay::Relay> relay_;
  std::unique_ptr<transport::Transport> transport_;
  std::unique_ptr<peers::RelayDriver> driver_;
  transport::Endpoint endpoint_;
  std::uint64_t revision_ = 0;
  std::vector<relay::Relay::ParentLost> lost_;
  std::vector<relay::Relay::Tampered> tampered_;
};

/// Publishes objects of seeded bytes at a gateway node and remembers their hashes.
class TestPublisher {
 public:
  TestPublisher(TestNode& gateway, const TestNetwork& network, std::uint64_t seed);
  /// One whole segment of `size` bytes.
  void publish(std::size_t size);
  [[nodiscard]] const std::map<std::string, crypto::Sha256Digest>& published() const noexcept {
    return published_;
  }
  /// The same slices without a gateway, for peers that the test plays itself.
  static std::vector<media::SignedSlice> slices_of(media::Slicer& slicer, const std::string& path,
                                                   ByteView bytes);

 private:
  TestNode& gateway_;
  media::Slicer slicer_;
  std::uint64_t state_;
  unsigned count_ = 0;
  std::map<std::string, crypto::Sha256Digest> published_;
};

/// `size` bytes that follow from `seed` alone.
Bytes seeded_bytes(std::uint64_t& seed, std::size_t size);

}  // namespace tayga::test
