#include "common/base/ids.hpp"

#include "common/base/encoding.hpp"
#include "tests/support/catch.hpp"

#include <unordered_set>

using namespace tayga;

namespace {

NodeId node(int first) {
  NodeId id;
  id.bytes[0] = static_cast<std::byte>(first);
  return id;
}

}  // namespace

TEST_CASE("an id is exactly its bytes") {
  const Bytes bytes(32, std::byte{7});
  const auto id = NodeId::from(bytes);
  REQUIRE(id.has_value());
  CHECK(Bytes(id->view().begin(), id->view().end()) == bytes);
  CHECK_FALSE(NodeId::from(ByteView{bytes}.first(31)).has_value());
  CHECK_FALSE(NetworkId::from(bytes).has_value());
  CHECK(NodeId{}.is_zero());
  CHECK_FALSE(id->is_zero());
}

TEST_CASE("ids are ordered bytewise and can be looked up") {
  CHECK(node(1) < node(2));
  CHECK(node(0x7f) < node(0x80));
  const std::unordered_set<NodeId> set{node(1), node(2), node(1)};
  CHECK(set.size() == 2);
  CHECK(set.contains(node(2)));
}

TEST_CASE("an id's text comes back as the id, and only text of its length does") {
  const NodeId id = node(0xab);
  CHECK(to_string(id).size() == 52);
  CHECK(short_string(id) == to_string(id).substr(0, 8));
  CHECK(id_from_string<NodeId>(to_string(id)) == id);
  CHECK_FALSE(id_from_string<NetworkId>(to_string(id)).has_value());
  CHECK_FALSE(id_from_string<NodeId>("?").has_value());
}

TEST_CASE("a strong id counts within its own kind") {
  CHECK(SliceSeq{1}.next() == SliceSeq{2});
  CHECK(SliceSeq{1} < SliceSeq{2});
  CHECK(StripeIndex{255}.next() == StripeIndex{0});
  static_assert(!std::is_convertible_v<SliceSeq, ObjectId>);
  static_assert(!std::is_convertible_v<std::uint64_t, SliceSeq>);
}
