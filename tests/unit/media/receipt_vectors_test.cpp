#include "common/base/encoding.hpp"
#include "common/media/receipts.hpp"
#include "common/wire/wire_error.hpp"
#include "tests/support/catch.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

// Blobs that another implementation made from the same specification.
namespace tayga::media {
namespace {

namespace json = boost::json;
using crypto::SigningKey;

json::value read_vectors(const std::string& name) {
  const char* chosen = std::getenv("TAYGA_VECTORS");
  const std::filesystem::path folder =
      chosen != nullptr ? chosen : TAYGA_TEST_SOURCE_DIR "/vectors";
  std::ifstream in{folder / name};
  if (!in) FAIL("no vectors: cannot read " << (folder / name));
  const std::string text{std::istreambuf_iterator<char>{in}, {}};
  return json::parse(text);
}

Bytes hex_of(const json::value& value) {
  const auto bytes = from_hex(std::string_view{value.as_string()});
  REQUIRE(bytes.has_value());
  return *bytes;
}

template <class Unsigned>
Unsigned integer_of(const json::value& value) {
  return value.to_number<Unsigned>();
}

template <class Id>
Id id_of(const json::value& value) {
  const auto id = Id::from(hex_of(value));
  REQUIRE(id.has_value());
  return *id;
}

SigningKey key_of(const json::value& seed) {
  const Bytes bytes = hex_of(seed);
  REQUIRE(bytes.size() == 32);
  return SigningKey::from_seed(std::span<const std::byte, 32>{bytes});
}

wire::Allocation allocation_of(const json::value& f) {
  wire::Allocation a;
  a.epoch = integer_of<std::uint32_t>(f.at("epoch"));
  a.id = id_of<AllocationId>(f.at("alloc_id"));
  a.network = id_of<NetworkId>(f.at("network_id"));
  a.sender = id_of<NodeId>(f.at("sender"));
  a.receiver = id_of<NodeId>(f.at("receiver"));
  a.stream_handle = id_of<StreamHandle>(f.at("stream_handle"));
  a.stripe_mask = integer_of<std::uint32_t>(f.at("stripe_mask"));
  a.max_kbps = integer_of<std::uint32_t>(f.at("max_kbps"));
  a.not_before_ms = integer_of<std::int64_t>(f.at("not_before_ms"));
  a.not_after_ms = integer_of<std::int64_t>(f.at("not_after_ms"));
  a.max_bytes = integer_of<std::uint64_t>(f.at("max_bytes"));
  a.key_id = integer_of<std::uint32_t>(f.at("key_id"));
  return a;
}

wire::Receipt receipt_of(const json::value& f) {
  wire::Receipt r;
  r.allocation = id_of<AllocationId>(f.at("alloc_id"));
  r.network = id_of<NetworkId>(f.at("network_id"));
  r.seq = integer_of<std::uint32_t>(f.at("seq"));
  const auto flags = integer_of<std::uint32_t>(f.at("flags"));
  REQUIRE(flags <= 1);
  r.is_final = flags == 1;
  r.cum_bytes = integer_of<std::uint64_t>(f.at("cum_bytes"));
  r.cum_chunks = integer_of<std::uint64_t>(f.at("cum_chunks"));
  r.cum_late_bytes = integer_of<std::uint64_t>(f.at("cum_late_bytes"));
  r.highest_object = ObjectId{integer_of<std::uint64_t>(f.at("highest_object"))};
  const Bytes possession = hex_of(f.at("possession"));
  REQUIRE(possession.size() == r.possession.size());
  std::ranges::copy(possession, r.possession.begin());
  return r;
}

TEST_CASE("allocation vectors: fields give the blob, and the blob gives the fields and verifies") {
  const json::value vectors = read_vectors("receipts.json");
  REQUIRE_FALSE(vectors.as_array().empty());
  for (const json::value& v : vectors.as_array()) {
    const SigningKey orchestrator = key_of(v.at("orchestrator_seed"));
    const wire::Allocation allocation = allocation_of(v.at("allocation").at("fields"));
    const Bytes blob = hex_of(v.at("allocation").at("blob"));
    CHECK(to_hex(orchestrator.public_key()) == v.at("orchestrator_key").as_string());
    CHECK(allocation.sender == key_of(v.at("sender_seed")).node_id());
    CHECK(allocation.receiver == key_of(v.at("receiver_seed")).node_id());
    CHECK(to_hex(sign_allocation(allocation, orchestrator)) == to_hex(blob));
    const auto verified = verify_allocation(blob, orchestrator.public_key());
    REQUIRE(verified);
    CHECK(*verified == allocation);
  }
}

TEST_CASE("receipt vectors: fields give the blob, and the blob gives the fields and verifies") {
  const json::value vectors = read_vectors("receipts.json");
  std::size_t receipt_count = 0;
  for (const json::value& v : vectors.as_array()) {
    const SigningKey receiver = key_of(v.at("receiver_seed"));
    const wire::Allocation allocation = allocation_of(v.at("allocation").at("fields"));
    for (const json::value& item : v.at("receipts").as_array()) {
      const wire::Receipt receipt = receipt_of(item.at("fields"));
      const Bytes blob = hex_of(item.at("blob"));
      CHECK(to_hex(sign_receipt(receipt, receiver)) == to_hex(blob));
      const auto verified = verify_receipt(blob, allocation);
      REQUIRE(verified);
      CHECK(*verified == receipt);
      ++receipt_count;
    }
  }
  CHECK(receipt_count > 0);
}

TEST_CASE("refused vectors: no blob of them is accepted") {
  const json::value refused = read_vectors("refused.json");
  const json::value receipts = read_vectors("receipts.json");
  const Bytes key_bytes = hex_of(refused.at("orchestrator_key"));
  crypto::PublicKey orchestrator{};
  REQUIRE(key_bytes.size() == orchestrator.size());
  std::ranges::copy(key_bytes, orchestrator.begin());
  REQUIRE_FALSE(refused.at("blobs").as_array().empty());
  for (const json::value& item : refused.at("blobs").as_array()) {
    INFO(json::serialize(item));
    const Bytes blob = hex_of(item.at("blob"));
    if (item.at("kind").as_string() == "allocation") {
      CHECK_FALSE(verify_allocation(blob, orchestrator).has_value());
      continue;
    }
    REQUIRE(item.at("kind").as_string() == "receipt");
    // Which allocation it was made for is not said, so none may accept it.
    for (const json::value& v : receipts.as_array()) {
      const wire::Allocation allocation = allocation_of(v.at("allocation").at("fields"));
      CHECK_FALSE(verify_receipt(blob, allocation).has_value());
    }
  }
}

TEST_CASE("refused vectors: a wrong layout is refused before its signature is looked at") {
  const std::map<std::string, wire::WireErrc> expected{
      {"tag", wire::WireErrc::bad_tag},
      {"version", wire::WireErrc::bad_version},
      {"flags", wire::WireErrc::reserved_not_zero},
      {"reserved", wire::WireErrc::reserved_not_zero},
      {"reserved2", wire::WireErrc::reserved_not_zero},
      {"unknown flag", wire::WireErrc::reserved_not_zero},
      {"short", wire::WireErrc::truncated},
      {"long", wire::WireErrc::trailing_bytes}};
  const json::value refused = read_vectors("refused.json");
  for (const json::value& item : refused.at("blobs").as_array()) {
    const auto error = expected.find(std::string{item.at("why").as_string()});
    if (error == expected.end()) continue;  // well formed, wrongly signed
    INFO(json::serialize(item));
    const Bytes blob = hex_of(item.at("blob"));
    if (item.at("kind").as_string() == "allocation") {
      CHECK(wire::parse_allocation(blob).error() == error->second);
    } else {
      CHECK(wire::parse_receipt(blob).error() == error->second);
    }
  }
}

}  // namespace
}  // namespace tayga::media
