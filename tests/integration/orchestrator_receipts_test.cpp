#include "common/base/encoding.hpp"
#include "common/crypto/certificate.hpp"
#include "common/crypto/hash.hpp"
#include "common/crypto/key_file.hpp"
#include "common/media/receipts.hpp"
#include "common/wire/big_endian.hpp"
#include "tests/integration/orchestrator_client.hpp"
#include "tests/integration/orchestrator_process.hpp"
#include "tests/support/catch.hpp"

#include <boost/json.hpp>
#include <signal.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <iterator>
#include <map>
#include <vector>

using namespace tayga;
using namespace tayga::test;

namespace {

constexpr std::size_t kAllocations = 64;
constexpr std::uint64_t kGrowth = 10'000;
constexpr std::uint32_t kBatchesInFlight = 2;  // as many as the orchestrator takes of one session

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// Allocations from this node to one receiver, signed with the orchestrator's own online key, and
/// receipts under them that grow.
class Receiver {
 public:
  Receiver(const std::string& state, const NodeId& sender)
      : online_{std::get<crypto::SigningKey>(crypto::load_signing_key(state + "/online.pem"))},
        key_{crypto::SigningKey::generate()} {
    std::ifstream file{state + "/ca.crt"};
    const std::string ca{std::istreambuf_iterator<char>{file}, {}};
    const auto network = *NetworkId::from(ByteView{*crypto::certificate_fingerprint(ca)}.first(8));
    for (std::size_t i = 0; i < kAllocations; ++i) {
      wire::Allocation a;
      a.epoch = static_cast<std::uint32_t>(now_ms() / 86'400'000);
      a.network = network;
      a.sender = sender;
      a.receiver = key_.node_id();
      a.stripe_mask = 1;
      a.max_kbps = 1'000'000;
      a.not_before_ms = now_ms() - 60'000;
      a.not_after_ms = now_ms() + 600'000;
      a.max_bytes = 1ULL << 40;
      a.key_id = 1;
      wire::Writer id{a.id.bytes};
      id.integer(static_cast<std::uint64_t>(a.not_after_ms / 1000));
      crypto::random_bytes(std::span{a.id.bytes}.last(8));
      allocations_.push_back(a);
    }
  }

  /// The `seq`-th receipt of every allocation: kGrowth bytes more than the one before.
  [[nodiscard]] v1::NodeMessage batch(std::uint32_t seq) const {
    v1::NodeMessage message;
    v1::ReceiptBatch& receipts = *message.mutable_receipts();
    receipts.set_batch(seq);
    for (const wire::Allocation& a : allocations_) {
      wire::Receipt r;
      r.allocation = a.id;
      r.network = a.network;
      r.seq = seq;
      r.cum_bytes = seq * kGrowth;
      r.cum_chunks = seq;
      const auto item = media::make_settlement_item(media::sign_allocation(a, online_),
                                                    media::sign_receipt(r, key_));
      receipts.add_items(std::string{as_text(item)});
    }
    return message;
  }

 private:
  crypto::SigningKey online_;
  crypto::SigningKey key_;
  std::vector<wire::Allocation> allocations_;
};

/// Largest acknowledged total per allocation id.
using Acknowledged = std::map<std::string, std::uint64_t>;

void note(const v1::ReceiptAnswer& answer, Acknowledged& acknowledged) {
  for (const v1::ReceiptAnswer::Item& item : answer.items()) {
    if (item.status() == v1::ReceiptAnswer::STATUS_UNAVAILABLE) continue;  // not acknowledged
    const bool settled = item.status() == v1::ReceiptAnswer::STATUS_ACCEPTED ||
                         item.status() == v1::ReceiptAnswer::STATUS_STALE;
    REQUIRE(settled);
    std::uint64_t& known = acknowledged[item.alloc_id()];
    known = std::max(known, item.settled_bytes());
  }
}

boost::json::value ledger_of(const RunningOrchestrator& orchestrator, const std::string& node) {
  std::vector<std::string> arguments{"ledger", "show", "--json"};
  if (!node.empty()) arguments.insert(arguments.begin() + 2, node);
  const Finished shown = orchestrator.verb(arguments);
  REQUIRE(shown.exit_code == 0);
  return boost::json::parse(shown.out);
}

bool is_answer(const v1::OrchestratorMessage& m) {
  return m.has_receipt_answer();
}

}  // namespace

TEST_CASE(
    "no acknowledged receipt is lost or doubled when the orchestrator is killed and restarted") {
  crypto::init();
  RunningOrchestrator orchestrator;
  const auto key = crypto::SigningKey::generate();
  const Receiver receiver{orchestrator.state(), key.node_id()};
  Acknowledged acknowledged;
  std::uint32_t seq = 0;

  for (int kill = 1; kill <= 4; ++kill) {
    orchestrator.start();
    TestNode node{orchestrator.address(), node_credentials(orchestrator.state(), key)};
    REQUIRE(node.join_network(v1::ROLE_RELAY, "sender"));
    // Keep as much in flight as a session may, and kill in the middle of it after a few answers.
    const std::uint32_t first = seq;
    std::uint32_t sent = seq;
    for (std::uint32_t answers = 0; answers < 3U * static_cast<std::uint32_t>(kill); ++answers) {
      while (sent < first + answers + kBatchesInFlight) {
        REQUIRE(node.send(receiver.batch(++sent)));
      }
      const auto answer = node.receive(is_answer);
      REQUIRE(answer);
      note(answer->receipt_answer(), acknowledged);
    }
    CHECK(orchestrator.stop(SIGKILL).exit_code == 128 + SIGKILL);
    while (const auto late = node.receive(is_answer, std::chrono::seconds{1})) {
      note(late->receipt_answer(), acknowledged);
    }
    seq = sent;
  }

  orchestrator.start();
  const std::string id = to_string(key.node_id());
  const boost::json::value accounts = ledger_of(orchestrator, id);
  std::map<std::string, std::uint64_t> durable;
  for (const auto& account : accounts.at("accounts").as_array()) {
    const auto bytes = from_hex(std::string{account.at("allocation").as_string()});
    durable[std::string{as_text(*bytes)}] = account.at("settled_bytes").to_number<std::uint64_t>();
  }
  REQUIRE(acknowledged.size() == kAllocations);
  std::uint64_t sum = 0;
  for (const auto& [allocation, total] : acknowledged) {
    CHECK(durable[allocation] >= total);          // not lost
    CHECK(durable[allocation] <= seq * kGrowth);  // not more than was ever signed
    CHECK(durable[allocation] % kGrowth == 0);
  }
  for (const auto& [allocation, total] : durable) sum += total;
  CHECK(ledger_of(orchestrator, "").at("totals").at("bytes").to_number<std::uint64_t>() == sum);

  // Submitting everything again changes nothing: the same receipts are stale.
  TestNode node{orchestrator.address(), node_credentials(orchestrator.state(), key)};
  REQUIRE(node.join_network(v1::ROLE_RELAY, "sender"));
  for (std::uint32_t again : {1U, seq, seq, 1U}) {
    REQUIRE(node.send(receiver.batch(again)));
    const auto answer = node.receive(is_answer);
    REQUIRE(answer);
    note(answer->receipt_answer(), acknowledged);
  }
  const boost::json::value totals = ledger_of(orchestrator, "").at("totals");
  CHECK(totals.at("bytes").to_number<std::uint64_t>() == kAllocations * seq * kGrowth);
  CHECK(totals.at("receipts").to_number<std::uint64_t>() == kAllocations);
}

TEST_CASE("a receipt is settled for the sender that its session proves, and for nobody else") {
  crypto::init();
  RunningOrchestrator orchestrator;
  orchestrator.start();
  const auto key = crypto::SigningKey::generate();
  const Receiver receiver{orchestrator.state(), key.node_id()};
  const auto status_for = [&](const crypto::SigningKey& sender) {
    TestNode node{orchestrator.address(), node_credentials(orchestrator.state(), sender)};
    REQUIRE(node.join_network(v1::ROLE_RELAY, "n"));
    REQUIRE(node.send(receiver.batch(1)));
    const auto answer = node.receive(is_answer);
    REQUIRE(answer);
    REQUIRE(answer->receipt_answer().items_size() == static_cast<int>(kAllocations));
    return answer->receipt_answer().items(0).status();
  };
  CHECK(status_for(crypto::SigningKey::generate()) == v1::ReceiptAnswer::STATUS_WRONG_SENDER);
  CHECK(status_for(key) == v1::ReceiptAnswer::STATUS_ACCEPTED);
  CHECK(status_for(key) == v1::ReceiptAnswer::STATUS_STALE);
}
