#include "tests/support/link_model.hpp"

#include "common/base/check.hpp"

#include <algorithm>

namespace tayga::test {

PacketFate LinkModel::on_packet(std::size_t size, TimePoint now) {
  TAYGA_CHECK(size > 0);
  PacketFate fate;
  if (shape_.mtu != 0 && size > shape_.mtu) return fate;
  if (is_lost()) return fate;
  const std::optional<TimePoint> sent = pass_queue(size, now);
  if (!sent) return fate;
  fate.arrivals[fate.count++] = arrival(size, *sent);
  if (happens(shape_.duplicate)) fate.arrivals[fate.count++] = arrival(size, *sent);
  return fate;
}

bool LinkModel::happens(double probability) {
  if (probability <= 0) return false;
  constexpr double kSteps = 1ULL << 53;
  return static_cast<double>(random_() >> 11) < probability * kSteps;
}

bool LinkModel::is_lost() {
  bool lost = happens(shape_.loss);
  if (!shape_.burst_loss) return lost;
  const GilbertLoss& burst = *shape_.burst_loss;
  bad_ = bad_ ? !happens(burst.to_good) : happens(burst.to_bad);
  if (happens(bad_ ? burst.loss_in_bad : burst.loss_in_good)) lost = true;
  return lost;
}

/// When the last bit has left; nullopt: the queue in front of the line is full.
std::optional<TimePoint> LinkModel::pass_queue(std::size_t size, TimePoint now) {
  if (shape_.rate_bps == 0) return now;
  const TimePoint begin = std::max(now, line_free_at_);
  if (begin - now > shape_.queue) return std::nullopt;
  const auto bits_us = static_cast<std::uint64_t>(size) * 8 * 1'000'000;
  line_free_at_ = begin + Duration{static_cast<Duration::rep>(bits_us / shape_.rate_bps)};
  return line_free_at_;
}

PacketFate::Arrival LinkModel::arrival(std::size_t size, TimePoint sent) {
  PacketFate::Arrival arrival{sent + shape_.delay, std::nullopt};
  if (shape_.jitter > Duration{0}) {
    const auto width = static_cast<std::uint64_t>(shape_.jitter.count()) + 1;
    arrival.at += Duration{static_cast<Duration::rep>(random_() % width)};
  }
  if (happens(shape_.corrupt)) arrival.flipped_bit = random_() % (size * 8);
  if (happens(shape_.reorder)) {
    arrival.at += shape_.reorder_delay;  // who overtakes it does not wait for it
    return arrival;
  }
  last_arrival_ = arrival.at = std::max(arrival.at, last_arrival_);
  return arrival;
}

}  // namespace tayga::test
