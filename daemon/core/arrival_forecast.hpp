#pragma once

#include "common/base/time.hpp"

#include <optional>

namespace tayga::relay {

/// When a parent that sends one slice after the other will have sent a later one.
///
/// Learns how fast it goes through the publisher's time: once live as fast as time itself, faster
/// while it catches up, slower when its line is too thin. Pure; of one stripe and one parent.
class ArrivalForecast {
 public:
  /// Something came of the slice that was published at `published`.
  void on_media(WallTime published, TimePoint now) noexcept;
  /// nullopt before anything came.
  [[nodiscard]] std::optional<TimePoint> expect(WallTime published) const noexcept;

  static constexpr Duration kSampleSpan = 150ms;  ///< one sample of the speed
  static constexpr double kSpeedMin = 0.5;
  static constexpr double kSpeedMax = 4;

 private:
  WallTime newest_{};
  TimePoint newest_at_{};
  WallTime sampled_{};
  TimePoint sampled_at_{};
  double speed_ = 1;
};

}  // namespace tayga::relay
