#include "common/transport/dual/transport_choice.hpp"

#include "tests/support/catch.hpp"

namespace tayga::transport {
namespace {

constexpr TimePoint t0{1000s};

NodeId node(unsigned number) {
  NodeId id;
  id.bytes[0] = static_cast<std::byte>(number);
  id.bytes[1] = static_cast<std::byte>(number >> 8U);
  return id;
}

}  // namespace

TEST_CASE("QUIC leads to a peer that was never dialed, and to one that QUIC reached") {
  TransportChoice choice;
  CHECK(choice.leader(node(1), t0) == Kind::quic);
  CHECK_FALSE(choice.memory_of(node(1)));
  choice.on_reached(node(1), Kind::quic, Kind::quic, t0);
  CHECK(choice.leader(node(1), t0 + 1s) == Kind::quic);
  CHECK(choice.memory_of(node(1)) == TransportChoice::Memory{Kind::quic, Kind::quic, t0});
}

TEST_CASE("TCP leads for a time to a peer that QUIC did not reach with its head start") {
  TransportChoice choice;
  choice.on_reached(node(1), Kind::quic, Kind::tcp, t0);
  CHECK(choice.leader(node(1), t0) == Kind::tcp);
  CHECK(choice.leader(node(1), t0 + TransportChoice::kTcpLeads - 1us) == Kind::tcp);
  CHECK(choice.leader(node(1), t0 + TransportChoice::kTcpLeads) == Kind::quic);
  CHECK(choice.leader(node(2), t0) == Kind::quic);
}

TEST_CASE("what TCP reaches while it leads does not prolong its lead") {
  TransportChoice choice;
  choice.on_reached(node(1), Kind::quic, Kind::tcp, t0);
  choice.on_reached(node(1), Kind::tcp, Kind::tcp, t0 + 9min);
  CHECK(choice.leader(node(1), t0 + TransportChoice::kTcpLeads) == Kind::quic);
}

TEST_CASE("a peer where QUIC had its chance again and lost it is led by TCP for another time") {
  TransportChoice choice;
  choice.on_reached(node(1), Kind::quic, Kind::tcp, t0);
  const TimePoint again = t0 + 11min;
  choice.on_reached(node(1), Kind::quic, Kind::tcp, again);
  CHECK(choice.leader(node(1), again + 9min) == Kind::tcp);
}

TEST_CASE("QUIC leads again at once to a peer that it reached although TCP led") {
  TransportChoice choice;
  choice.on_reached(node(1), Kind::quic, Kind::tcp, t0);
  choice.on_reached(node(1), Kind::tcp, Kind::quic, t0 + 1min);
  CHECK(choice.leader(node(1), t0 + 1min) == Kind::quic);
  CHECK(choice.memory_of(node(1)) == TransportChoice::Memory{Kind::quic, Kind::tcp, t0 + 1min});
}

TEST_CASE("the peer dialed longest ago is forgotten when there are too many") {
  TransportChoice choice{3};
  for (unsigned i = 1; i <= 3; ++i) choice.on_reached(node(i), Kind::quic, Kind::tcp, t0);
  choice.on_reached(node(1), Kind::tcp, Kind::tcp, t0 + 1s);
  choice.on_reached(node(4), Kind::quic, Kind::tcp, t0 + 2s);
  CHECK(choice.size() == 3);
  CHECK(choice.leader(node(1), t0 + 3s) == Kind::tcp);
  CHECK(choice.leader(node(2), t0 + 3s) == Kind::quic);  // forgotten
  CHECK(choice.leader(node(3), t0 + 3s) == Kind::tcp);
  CHECK(choice.leader(node(4), t0 + 3s) == Kind::tcp);
}

}  // namespace tayga::transport
