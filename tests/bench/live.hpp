#pragma once

#include "tests/bench/process.hpp"
#include "tests/bench/transports.hpp"
#include "tests/support/test_network.hpp"

#include <cstdint>
#include <memory>
#include <vector>

namespace tayga::bench {

enum class Purpose : std::uint8_t {
  counted,  ///< its latencies and losses are the figures
  aside,    ///< counted apart: a slow child, or load
  relayed,  ///< for hops: what it gets is compared, chunk by chunk, ...
  direct,   ///< ... with when this one got it
};

/// Children that share a dialing transport, and so a socket where the transport has one.
struct ChildGroup {
  crypto::SigningKey key = crypto::SigningKey::generate();
  std::size_t children = 0;
  Purpose purpose = Purpose::counted;
};

/// What the processes of one live stream agree on before they are forked.
///
///     source --> relay --> children of the groups        children dial, the relay dials the source
///        \-----> children of the groups, without a relay
struct LivePlan {
  test::TestNetwork network{1};
  crypto::SigningKey source = crypto::SigningKey::generate();
  crypto::SigningKey relay = crypto::SigningKey::generate();
  TransportSetup transport;
  std::vector<ChildGroup> groups;

  // The stream: either a rate that trickles in each millisecond, as from an encoder, ...
  double rate_bps = 8e6;
  // ... or one object of so many bytes at each interval, in one chunk.
  std::size_t object_size = 0;
  Duration object_interval = 5ms;
};

/// Spreads children over a few groups: their sockets' buffers then hold a burst to all.
std::vector<ChildGroup> make_groups(std::size_t children, Purpose purpose);

// The processes of a live bench. The plan must outlive the call only. Each serves
//   measure {begin_us, end_us}   wall times ahead: what is published in between counts
// and answers it at once, the relay when the time is over.

/// Ready: {port}. publish {}: begins. sent {}: {chunks, objects: {id: chunks}} of the time
/// measured.
std::unique_ptr<Role> start_source(const LivePlan& plan, unsigned cpu);

/// The relay of the product, its core and its driver, alone in its process. Ready: {port}.
/// follow {port}: subscribes at the source. measure's answer: {cpu_s, wait_s, seconds, media_bytes,
/// wire_bytes, rss_bytes, rss_peak_bytes, chunks_verified, dropped_bytes}.
std::unique_ptr<Role> start_relay(const LivePlan& plan, unsigned cpu);

/// Peers that speak the protocol and verify nothing. dial {group, port}: answers when all of the
/// group are subscribed. result {objects}: what was received of the time measured, beside what
/// `objects`, the source's answer, says was published.
std::unique_ptr<Role> start_children(const LivePlan& plan, unsigned cpu);

/// {begin_us, end_us} that begin soon.
boost::json::object make_window(Duration length);

}  // namespace tayga::bench
