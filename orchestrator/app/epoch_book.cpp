#include "orchestrator/app/epoch_book.hpp"

#include "common/base/check.hpp"
#include "common/crypto/hash.hpp"

namespace tayga::orch {
namespace {

constexpr std::int64_t kEpochMs = 24LL * 3600 * 1000;

}  // namespace

std::uint32_t accounting_epoch(std::int64_t wall_ms) noexcept {
  return static_cast<std::uint32_t>(wall_ms / kEpochMs);
}

std::vector<std::uint32_t> EpochBook::missing(std::int64_t wall_ms) const {
  const std::uint32_t today = accounting_epoch(wall_ms);
  std::vector<std::uint32_t> out;
  for (const std::uint32_t epoch : {today - 1, today, today + 1}) {
    if (secrets_.count(epoch) == 0) out.push_back(epoch);
  }
  return out;
}

void EpochBook::add(std::uint32_t epoch, const EpochSecret& secret) {
  secrets_.insert_or_assign(epoch, secret);
}

void EpochBook::prune(std::int64_t wall_ms) {
  secrets_.erase(secrets_.begin(), secrets_.lower_bound(accounting_epoch(wall_ms) - 1));
}

StreamHandle EpochBook::current(const StreamId& stream, std::int64_t wall_ms) const {
  const auto secret = secrets_.find(accounting_epoch(wall_ms));
  TAYGA_CHECK(secret != secrets_.end());
  return crypto::stream_handle(stream, secret->second);
}

std::vector<StreamHandle> EpochBook::handles(const StreamId& stream, std::int64_t wall_ms) const {
  const std::uint32_t today = accounting_epoch(wall_ms);
  std::vector<StreamHandle> out;
  for (const std::uint32_t epoch : {today, today - 1, today + 1}) {
    const auto secret = secrets_.find(epoch);
    if (secret != secrets_.end()) out.push_back(crypto::stream_handle(stream, secret->second));
  }
  return out;
}

}  // namespace tayga::orch
