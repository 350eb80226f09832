#include "daemon/core/peer_index.hpp"

#include "tests/support/catch.hpp"

#include <array>
#include <cstddef>

using namespace tayga;
using namespace tayga::relay;

namespace {

struct Known {
  NodeId id;
};

NodeId id_of(unsigned first, unsigned last) {
  NodeId id;
  id.bytes.front() = static_cast<std::byte>(first);
  id.bytes.back() = static_cast<std::byte>(last);
  return id;
}

}  // namespace

TEST_CASE("a peer is found by its whole id, also among ids that begin alike") {
  std::array<Known, 4> peers{{{id_of(2, 1)}, {id_of(1, 1)}, {id_of(2, 2)}, {id_of(3, 0)}}};
  PeerIndex<Known> index;
  for (Known& peer : peers) index.add(peer);
  for (Known& peer : peers) CHECK(index.find(peer.id) == &peer);
  CHECK(index.find(id_of(2, 3)) == nullptr);
  CHECK(index.find(id_of(9, 0)) == nullptr);

  index.erase(peers[0]);
  CHECK(index.find(peers[0].id) == nullptr);
  CHECK(index.find(peers[2].id) == &peers[2]);
  index.add(peers[0]);
  CHECK(index.find(peers[0].id) == &peers[0]);
}
