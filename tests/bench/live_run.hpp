#pragma once

#include "tests/bench/live.hpp"
#include "tests/support/link_emulator.hpp"

#include <cstdint>
#include <memory>

namespace tayga::bench {

/// What one measured stretch of a live stream gave; each as the role answered.
struct LiveFigures {
  boost::json::object relay;
  boost::json::object sent;
  boost::json::object received;
};

double number(const boost::json::object& figures, const char* key);

/// The processes of one live stream: the relay on cpu_for(0), all others on cpu_for(1).
class LiveRun {
 public:
  /// Starts source and relay; the relay follows the source. The plan must outlive it.
  explicit LiveRun(const LivePlan& plan);

  [[nodiscard]] std::uint16_t relay_port() const noexcept { return relay_port_; }
  [[nodiscard]] std::uint16_t source_port() const noexcept { return source_port_; }
  /// Subscribes all of the group at the relay, which is reached at `port`.
  void dial(std::size_t group, std::uint16_t port);
  /// Subscribes all of the group at the source.
  void dial_direct(std::size_t group);
  /// Subscribes the group from a process of its own, so that its load is not in between.
  void dial_as_load(std::size_t group);
  void publish();
  /// Blocks for `length` and a little more, until what is not late has come.
  LiveFigures measure(Duration length);

 private:
  std::unique_ptr<Role> source_;
  std::unique_ptr<Role> relay_;
  std::unique_ptr<Role> children_;
  std::unique_ptr<Role> load_;
  const LivePlan& plan_;
  std::uint16_t source_port_ = 0;
  std::uint16_t relay_port_ = 0;
};

/// A link emulator in a process of its own, of the kind that the transport needs. Ready: {port}.
/// It only delays until shape {}: a handshake that a bad link spoils would end the bench.
std::unique_ptr<Role> start_emulator(transport::Kind kind, const test::EmulatedLink& link,
                                     unsigned cpu);

}  // namespace tayga::bench
