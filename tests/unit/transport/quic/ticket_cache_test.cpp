#include "common/transport/quic/ticket_cache.hpp"

#include "tests/support/catch.hpp"

namespace tayga::transport::quic {
namespace {

NodeId node(unsigned number) {
  NodeId id;
  id.bytes[0] = static_cast<std::byte>(number);
  id.bytes[1] = static_cast<std::byte>(number >> 8U);
  return id;
}

Bytes ticket(unsigned number) {
  return Bytes(8, static_cast<std::byte>(number));
}

}  // namespace

TEST_CASE("a ticket is for its peer only, and used once") {
  TicketCache cache;
  cache.put(node(1), ticket(1));
  CHECK(cache.take(node(2)).empty());
  CHECK(cache.take(node(1)) == ticket(1));
  CHECK(cache.take(node(1)).empty());
  CHECK(cache.size() == 0);
}

TEST_CASE("the newest ticket of a peer counts") {
  TicketCache cache;
  cache.put(node(1), ticket(1));
  cache.put(node(1), ticket(2));
  CHECK(cache.size() == 1);
  CHECK(cache.take(node(1)) == ticket(2));
}

TEST_CASE("beyond kPeersMax the peer least recently heard of is forgotten") {
  TicketCache cache;
  for (unsigned i = 0; i < TicketCache::kPeersMax; ++i) cache.put(node(i), ticket(i));
  cache.put(node(0), ticket(7));  // heard of again
  cache.put(node(1000), ticket(8));
  CHECK(cache.size() == TicketCache::kPeersMax);
  CHECK(cache.take(node(1)).empty());
  CHECK(cache.take(node(0)) == ticket(7));
  CHECK(cache.take(node(1000)) == ticket(8));
}

}  // namespace tayga::transport::quic
