#include "tests/sim/network_model.hpp"

#include "tests/sim/draws.hpp"
#include "tests/sim/trace_data.hpp"

#include <algorithm>
#include <array>

namespace tayga::sim {
namespace {

constexpr Duration kSameSite = 500us;  ///< one way between two nodes of one row
constexpr std::uint64_t kGatewayUplinkBps = 200'000'000;
constexpr std::uint64_t kTracedOneIn = 8;
/// What a node on a traced uplink says of it: the median is above that.
constexpr std::uint64_t kTracedLineBps = 2'000'000;

/// Uplinks of households and small servers, in equal shares.
constexpr std::array<std::uint64_t, 8> kUplinksBps{2'000'000,  4'000'000,  5'000'000,  8'000'000,
                                                   10'000'000, 10'000'000, 20'000'000, 40'000'000};
/// Of nodes behind a household's router, an assumption: of a hundred of them 25 are open, 40 cone,
/// 27 port restricted and 8 symmetric, so that one pair in twenty does not get through.
NatClass draw_nat(Draws& draws) {
  const std::uint64_t drawn = draws.below(100);
  if (drawn < 25) return NatClass::open;
  if (drawn < 65) return NatClass::cone;
  return drawn < 92 ? NatClass::port_restricted : NatClass::symmetric;
}

struct Place {
  std::int32_t x_us;
  std::int32_t y_us;
};
/// Centres of regions on a plane whose distances are one-way delays.
constexpr std::array<Place, NetworkModel::kRegions> kCentres{{{0, 0},
                                                              {9'000, 4'000},
                                                              {42'000, 6'000},
                                                              {68'000, 12'000},
                                                              {95'000, -20'000},
                                                              {30'000, 38'000}}};
constexpr std::int32_t kSpreadUs = 6'000;

/// Whole square root, rounded down.
std::uint64_t root(std::uint64_t value) {
  std::uint64_t low = 0;
  std::uint64_t high = std::uint64_t{1} << 31U;
  while (low + 1 < high) {
    const std::uint64_t middle = (low + high) / 2;
    (middle * middle <= value ? low : high) = middle;
  }
  return low;
}

}  // namespace

NetworkModel::NetworkModel(const SimOptions& options, unsigned nodes) : access_(nodes) {
  if (options.lab_rtt) {
    lab_way_ = *options.lab_rtt / 2;
    source_ = "rtt of a laboratory";
  } else if (!options.data_dir.empty()) {
    if (auto matrix = load_rtt_matrix(options.data_dir)) {
      source_ = "rtt " + matrix->name;
      rows_ = matrix->rows;
      matrix_ = std::move(matrix->tenths_ms);
    }
    if (options.traces) traces_ = load_uplink_traces(options.data_dir);
  }
  if (source_.empty()) source_ = "rtt synthetic";
  source_ += traces_.empty() ? ", uplinks synthetic" : ", uplinks mahimahi and starlink traces";
  for (NodeIndex node = 0; node < nodes; ++node) place(options, node);
}

void NetworkModel::place(const SimOptions& options, NodeIndex node) {
  Access& access = access_[node];
  Draws where{options.seed, node, Purpose::position};
  if (rows_ > 0) {
    access.row = static_cast<std::uint32_t>(where.below(rows_));
    // The nearest of a few landmarks: the matrix names no places.
    Duration nearest = Duration::max();
    for (unsigned i = 0; i < kRegions; ++i) {
      const Duration far = matrix_one_way(access.row, i * (rows_ / kRegions));
      if (far < nearest) access.region = i;
      nearest = std::min(nearest, far);
    }
  } else {
    access.region = static_cast<unsigned>(where.below(kRegions));
    const auto offset = [&where] {
      return static_cast<std::int32_t>(where.below(2 * kSpreadUs)) - kSpreadUs;
    };
    access.x_us = kCentres[access.region].x_us + offset();
    access.y_us = kCentres[access.region].y_us + offset();
    access.last_mile = where.between(1ms, 8ms);
  }
  Draws nat{options.seed, node, Purpose::reachability};
  // The gateway, and volunteers who relay, have a public address.
  const bool is_household = node != 0 && !options.is_relay(node) && !options.lab_rtt;
  if (is_household) access.nat = draw_nat(nat);
  Draws uplink{options.seed, node, Purpose::uplink};
  access.uplink_bps = node == 0 ? kGatewayUplinkBps : kUplinksBps[uplink.below(kUplinksBps.size())];
  const std::uint64_t given_bps = node == 0                ? options.gateway_uplink_bps
                                  : options.is_relay(node) ? options.relay_uplink_bps
                                                           : options.viewer_uplink_bps;
  if (given_bps != 0) {
    access.uplink_bps = given_bps;
    return;
  }
  if (node == 0 || traces_.empty() || uplink.below(kTracedOneIn) != 0) return;
  access.trace = &traces_[uplink.below(traces_.size())];
  access.trace_offset =
      access.trace->step * static_cast<Duration::rep>(uplink.below(access.trace->rates_bps.size()));
  access.uplink_bps = kTracedLineBps;
}

Duration NetworkModel::matrix_one_way(std::uint32_t a, std::uint32_t b) const {
  if (a == b) return kSameSite;
  const std::uint16_t there = matrix_[std::size_t{a} * rows_ + b];
  const std::uint16_t back = matrix_[std::size_t{b} * rows_ + a];
  const unsigned tenths = there == 0 ? back : back == 0 ? there : std::min(there, back);
  return std::max(kSameSite, Duration{tenths * 50});
}

Duration NetworkModel::one_way(NodeIndex a, NodeIndex b) const {
  if (lab_way_) return *lab_way_;
  const Access& from = access_[a];
  const Access& to = access_[b];
  if (rows_ > 0) return matrix_one_way(from.row, to.row);
  const std::int64_t dx = from.x_us - to.x_us;
  const std::int64_t dy = from.y_us - to.y_us;
  const std::uint64_t far = root(static_cast<std::uint64_t>(dx * dx + dy * dy));
  return from.last_mile + to.last_mile + Duration{static_cast<Duration::rep>(far)};
}

Duration NetworkModel::control_way(NodeIndex node) const {
  if (lab_way_) return *lab_way_;
  // The orchestrator stands where the gateway does, behind a data centre's door.
  return node == 0 ? 1ms : one_way(node, 0) + 1ms;
}

std::uint64_t NetworkModel::line_bps(NodeIndex node) const {
  return access_[node].uplink_bps;
}

void NetworkModel::set_uplink(NodeIndex node, std::uint64_t bps) {
  access_[node].uplink_bps = bps;
  access_[node].trace = nullptr;
}

std::uint64_t NetworkModel::uplink_bps(NodeIndex node, TimePoint now) const {
  const Access& access = access_[node];
  if (access.trace == nullptr) return access.uplink_bps;
  const auto step = (now.time_since_epoch() + access.trace_offset) / access.trace->step;
  return access.trace->rates_bps[static_cast<std::size_t>(step) % access.trace->rates_bps.size()];
}

TimePoint NetworkModel::next_rate_change(NodeIndex node, TimePoint now) const {
  const Access& access = access_[node];
  const Duration step = access.trace == nullptr ? Duration{100ms} : access.trace->step;
  const Duration at = now.time_since_epoch() + access.trace_offset;
  return now + (step - at % step);
}

}  // namespace tayga::sim
