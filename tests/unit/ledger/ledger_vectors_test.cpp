#include "common/base/encoding.hpp"
#include "orchestrator/ledger/ledger.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/memory_ledger_store.hpp"

#include <boost/json/parse.hpp>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

namespace tayga::orch {
namespace {

namespace json = boost::json;

json::array read_vectors(const std::string& file) {
  const char* chosen = std::getenv("TAYGA_VECTORS");
  const std::string folder = chosen != nullptr ? chosen : TAYGA_TEST_SOURCE_DIR "/vectors";
  std::ifstream in{folder + "/" + file};
  REQUIRE(in.good());
  return json::parse(std::string{std::istreambuf_iterator<char>{in}, {}}).as_array();
}

Bytes hex(const json::value& value) {
  return *from_hex(std::string_view{value.as_string().data(), value.as_string().size()});
}

TEST_CASE("vectors: the ledger settles every allocation's receipts to the largest total") {
  crypto::init();
  std::size_t settled = 0;
  for (const json::value& vector : read_vectors("receipts.json")) {
    const Bytes blob = hex(vector.at("allocation").at("blob"));
    const wire::Allocation allocation = wire::parse_allocation(blob).value();
    media::OnlineKey key;
    key.key_id = allocation.key_id;
    key.network = allocation.network;
    key.not_before_ms = allocation.not_before_ms;
    key.not_after_ms = allocation.not_after_ms;
    const Bytes online = hex(vector.at("orchestrator_key"));
    std::copy(online.begin(), online.end(), key.key.begin());

    test::MemoryLedgerStore store;
    Ledger ledger{LedgerTrust{allocation.network, {key}, 24h}, store};
    std::uint64_t largest = 0;
    for (const json::value& receipt : vector.at("receipts").as_array()) {
      Bytes item = blob;
      const Bytes signed_receipt = hex(receipt.at("blob"));
      item.insert(item.end(), signed_receipt.begin(), signed_receipt.end());
      const auto bytes = receipt.at("fields").at("cum_bytes").to_number<std::uint64_t>();
      const auto answer =
          ledger.settle({{allocation.sender, {item}}}, allocation.not_after_ms).at(0).at(0);
      if (bytes > allocation.max_bytes) {
        CHECK(answer.status == SettleStatus::over_limit);
        continue;
      }
      CHECK(answer.status == (bytes > largest ? SettleStatus::accepted : SettleStatus::stale));
      largest = std::max(largest, bytes);
      CHECK(answer.settled_bytes == largest);
      ++settled;
    }
    CHECK(store.totals().value().bytes == largest);
  }
  CHECK(settled > 0);
}

}  // namespace
}  // namespace tayga::orch
