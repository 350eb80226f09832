#include "orchestrator/app/epoch_book.hpp"

#include "common/base/check.hpp"
#include "common/crypto/hash.hpp"

#include <iterator>

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
    if (!has(epoch)) out.push_back(epoch);
  }
  return out;
}

void EpochBook::add(std::uint32_t epoch, const EpochSecret& secret) {
  secrets_.insert_or_assign(epoch, secret);
}

void EpochBook::prune(std::int64_t wall_ms) {
  const std::uint32_t today = accounting_epoch(wall_ms);
  TAYGA_CHECK(has(today));
  std::erase_if(secrets_, [today](const auto& entry) {
    return entry.first + 1 < today || entry.first > today + 1;
  });
}

std::uint32_t EpochBook::signing_epoch(std::int64_t wall_ms) const {
  TAYGA_CHECK(!secrets_.empty());
  const auto later = secrets_.upper_bound(accounting_epoch(wall_ms));
  return later == secrets_.begin() ? later->first : std::prev(later)->first;
}

StreamHandle EpochBook::handle(const StreamId& stream, std::uint32_t epoch) const {
  const auto secret = secrets_.find(epoch);
  TAYGA_CHECK(secret != secrets_.end());
  return crypto::stream_handle(stream, secret->second);
}

std::vector<StreamHandle> EpochBook::handles(const StreamId& stream, std::int64_t wall_ms) const {
  const std::uint32_t signing = signing_epoch(wall_ms);
  const std::uint32_t today = accounting_epoch(wall_ms);
  std::vector<StreamHandle> out{handle(stream, signing)};
  for (const std::uint32_t epoch : {today, today - 1, today + 1}) {
    if (epoch != signing && has(epoch)) out.push_back(handle(stream, epoch));
  }
  return out;
}

}  // namespace tayga::orch
