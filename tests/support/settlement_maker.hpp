#pragma once

#include "common/media/receipts.hpp"
#include "orchestrator/ledger/ledger.hpp"

#include <cstdint>
#include <vector>

namespace tayga::test {

/// Signs allocations and receipts as an orchestrator, a sender and a receiver would.
class SettlementMaker {
 public:
  static constexpr std::int64_t kNowMs = 1'800'000'000'000;

  SettlementMaker() {
    crypto::init();
    network.bytes[0] = std::byte{0x42};
  }

  NetworkId network;
  crypto::SigningKey online = key(1);
  crypto::SigningKey sender = key(2);
  crypto::SigningKey receiver = key(3);

  static crypto::SigningKey key(unsigned number) {
    std::array<std::byte, 32> seed{};
    seed[0] = static_cast<std::byte>(number);
    seed[1] = static_cast<std::byte>(number >> 8);
    return crypto::SigningKey::from_seed(seed);
  }

  [[nodiscard]] media::OnlineKey online_key() const {
    media::OnlineKey certificate;
    certificate.key_id = 5;
    certificate.not_before_ms = kNowMs - 1000;
    certificate.not_after_ms = kNowMs + media::kOnlineKeyTermMaxMs / 2;
    certificate.network = network;
    certificate.key = online.public_key();
    return certificate;
  }
  [[nodiscard]] orch::LedgerTrust trust() const {
    orch::LedgerTrust trust;
    trust.network = network;
    trust.online_keys = {online_key()};
    return trust;
  }
  [[nodiscard]] wire::Allocation allocation(std::uint64_t number) const {
    wire::Allocation out;
    out.epoch = 7;
    for (unsigned i = 0; i < 8; ++i) {
      out.id.bytes[8 + i] = static_cast<std::byte>(number >> (8 * i));
    }
    out.network = network;
    out.sender = sender.node_id();
    out.receiver = receiver.node_id();
    out.stripe_mask = 1;
    out.max_kbps = 8000;
    out.not_before_ms = kNowMs;
    out.not_after_ms = kNowMs + 600'000;
    out.max_bytes = 1'000'000;
    out.key_id = 5;
    return out;
  }
  [[nodiscard]] wire::Receipt receipt(const wire::Allocation& of, std::uint64_t bytes) const {
    wire::Receipt out;
    out.allocation = of.id;
    out.network = of.network;
    out.seq = static_cast<std::uint32_t>(bytes);
    out.cum_bytes = bytes;
    out.cum_chunks = bytes / 4096;
    return out;
  }
  [[nodiscard]] Bytes sign(const wire::Allocation& allocation, const wire::Receipt& receipt) const {
    const wire::SettlementItem item = media::make_settlement_item(
        media::sign_allocation(allocation, online), media::sign_receipt(receipt, this->receiver));
    return {item.begin(), item.end()};
  }
  /// A valid item: `bytes` in all under allocation `number`.
  [[nodiscard]] Bytes item(std::uint64_t number, std::uint64_t bytes) const {
    const wire::Allocation of = allocation(number);
    return sign(of, receipt(of, bytes));
  }
  [[nodiscard]] orch::Ledger::Submission submission(std::vector<Bytes> items) const {
    return {sender.node_id(), std::move(items)};
  }
};

}  // namespace tayga::test
