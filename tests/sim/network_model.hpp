#pragma once

#include "common/base/time.hpp"
#include "tests/sim/nat_class.hpp"
#include "tests/sim/sim_options.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tayga::sim {

using NodeIndex = std::uint32_t;

/// Uplink capacity over time, repeated for ever.
struct RateTrace {
  std::string name;
  Duration step{};
  std::vector<std::uint64_t> rates_bps;
};

/// Where nodes are and what their access can do: delays between pairs, who cannot reach whom,
/// uplink rates. Round trips come from a measured matrix, uplinks of one node in eight from
/// measured traces; where the data is absent, from coordinates on a plane and constant rates.
class NetworkModel {
 public:
  /// `nodes` = all of them, the gateway included.
  NetworkModel(const SimOptions& options, unsigned nodes);

  [[nodiscard]] Duration one_way(NodeIndex a, NodeIndex b) const;
  [[nodiscard]] Duration round_trip(NodeIndex a, NodeIndex b) const { return 2 * one_way(a, b); }
  /// One way to the orchestrator.
  [[nodiscard]] Duration control_way(NodeIndex node) const;
  [[nodiscard]] bool can_connect(NodeIndex a, NodeIndex b) const {
    return gets_through(access_[a].nat, access_[b].nat);
  }
  [[nodiscard]] NatClass nat(NodeIndex node) const { return access_[node].nat; }
  /// Its uplink's usual rate.
  [[nodiscard]] std::uint64_t line_bps(NodeIndex node) const;
  /// 0 = nothing gets through at this moment.
  [[nodiscard]] std::uint64_t uplink_bps(NodeIndex node, TimePoint now) const;
  /// When the uplink's rate may be another one. Pre: uplink_bps() is 0 now.
  [[nodiscard]] TimePoint next_rate_change(NodeIndex node, TimePoint now) const;
  [[nodiscard]] bool is_thin(NodeIndex node) const { return access_[node].downlink_bps != 0; }
  /// 0 = not a bottleneck.
  [[nodiscard]] std::uint64_t downlink_bps(NodeIndex node) const {
    return access_[node].downlink_bps;
  }
  void set_downlink(NodeIndex node, std::uint64_t bps) { access_[node].downlink_bps = bps; }
  void set_uplink(NodeIndex node, std::uint64_t bps);
  [[nodiscard]] unsigned region(NodeIndex node) const { return access_[node].region; }
  /// What was used, in words.
  [[nodiscard]] const std::string& source() const noexcept { return source_; }

  static constexpr unsigned kRegions = 6;

 private:
  struct Access {
    std::uint32_t row = 0;  ///< of the matrix
    std::int32_t x_us = 0;  ///< synthetic place
    std::int32_t y_us = 0;
    Duration last_mile{0};
    std::uint64_t uplink_bps = 0;
    std::uint64_t downlink_bps = 0;
    const RateTrace* trace = nullptr;
    Duration trace_offset{0};
    unsigned region = 0;
    NatClass nat = NatClass::open;
  };
  void place(const SimOptions& options, NodeIndex node);
  [[nodiscard]] Duration matrix_one_way(std::uint32_t a, std::uint32_t b) const;

  std::optional<Duration> lab_way_;  ///< of every pair
  std::vector<Access> access_;
  std::vector<std::uint16_t> matrix_;  ///< round trips in 0.1 ms
  std::uint32_t rows_ = 0;
  std::vector<RateTrace> traces_;
  std::string source_;
};

}  // namespace tayga::sim
