#pragma once

#include "common/base/time.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>

namespace tayga::test {

/// Losses in bursts: a chain of two states, stepped once a packet.
struct GilbertLoss {
  double to_bad = 0;   ///< probability of a good link to become bad
  double to_good = 1;  ///< probability of a bad link to recover
  double loss_in_good = 0;
  double loss_in_bad = 1;
};

/// What one direction of a link does to packets. The default does nothing.
struct LinkShape {
  Duration delay{0};   ///< one way
  Duration jitter{0};  ///< up to this much more, evenly spread; the order stays
  double reorder = 0;  ///< probability of a packet to come reorder_delay later, behind others
  Duration reorder_delay{10'000};
  double loss = 0;
  std::optional<GilbertLoss> burst_loss = std::nullopt;  ///< besides `loss`
  double duplicate = 0;
  double corrupt = 0;          ///< probability of one flipped bit
  std::uint64_t rate_bps = 0;  ///< 0 = as fast as they come
  Duration queue{100'000};     ///< in front of the rate: what would wait longer is dropped
  std::size_t mtu = 0;         ///< largest datagram that passes; 0 = all
};

/// What becomes of one packet: it arrives never, once or twice.
struct PacketFate {
  struct Arrival {
    TimePoint at;
    std::optional<std::size_t> flipped_bit;
  };
  std::array<Arrival, 2> arrivals;
  std::size_t count = 0;
};

/// One direction of a link. Sans-IO; the same seed and input give the same output with every
/// standard library.
class LinkModel {
 public:
  LinkModel(const LinkShape& shape, std::uint64_t seed) : shape_{shape}, random_{seed} {}

  /// Pre: `now` does not go back; size > 0.
  PacketFate on_packet(std::size_t size, TimePoint now);
  /// From the next packet on; the queue and the state of the losses stay.
  void set_shape(const LinkShape& shape) { shape_ = shape; }
  [[nodiscard]] const LinkShape& shape() const noexcept { return shape_; }

 private:
  bool happens(double probability);
  bool is_lost();
  std::optional<TimePoint> pass_queue(std::size_t size, TimePoint now);
  PacketFate::Arrival arrival(std::size_t size, TimePoint sent);

  LinkShape shape_;
  std::mt19937_64 random_;
  bool bad_ = false;
  TimePoint line_free_at_{};
  TimePoint last_arrival_{};
};

}  // namespace tayga::test
