#include "daemon/core/admission.hpp"

#include <algorithm>

namespace tayga::relay {
namespace {

constexpr std::int64_t to_ms(Duration duration) noexcept {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

}  // namespace

std::int64_t to_unix_ms(WallTime time) noexcept {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

void AllocationGrace::on_away() noexcept {
  away_ = true;
}

void AllocationGrace::on_connected(TimePoint now) noexcept {
  if (away_) reconnected_at_ = now;
  away_ = false;
}

Duration AllocationGrace::at(TimePoint now) const noexcept {
  const bool is_recent = reconnected_at_ && now < *reconnected_at_ + media::kReconnectGrace;
  return away_ || is_recent ? media::kOutageGrace : media::kAllocationGrace;
}

void OnlineKeys::replace(std::vector<media::OnlineKey> keys) {
  keys_.clear();
  for (media::OnlineKey& key : keys) keys_.insert_or_assign(key.key_id, key);
}

const media::OnlineKey* OnlineKeys::find(std::uint32_t key_id) const {
  const auto it = keys_.find(key_id);
  return it == keys_.end() ? nullptr : &it->second;
}

AdmissionResult judge_allocation(const wire::AllocationBlob& blob, const AdmissionCase& wanted,
                                 const OnlineKeys& keys) {
  const auto parsed = wire::parse_allocation(blob);
  if (!parsed) return {Admission::bad_allocation, {}};
  const wire::Allocation& allocation = *parsed;
  if (allocation.sender != wanted.self || allocation.receiver != wanted.child ||
      allocation.network != wanted.network || (wanted.stripes & ~allocation.stripe_mask) != 0) {
    return {Admission::bad_allocation, {}};
  }
  // Fields of a stranger: compared without sums that could overflow.
  const std::int64_t now_ms = to_unix_ms(wanted.now);
  const std::int64_t skew_ms = to_ms(media::kAllocationSkewMax);
  const std::int64_t past_ms = std::max(skew_ms, to_ms(wanted.past_end));
  if (allocation.not_after_ms < now_ms - past_ms) return {Admission::expired_allocation, {}};
  if (allocation.not_before_ms > now_ms + skew_ms) return {Admission::bad_allocation, {}};
  // The child may hear of a new accounting epoch's handle, or of a new key, before we do.
  if (std::find(wanted.handles.begin(), wanted.handles.end(), allocation.stream_handle) ==
      wanted.handles.end()) {
    return {Admission::hold, {}};
  }
  const media::OnlineKey* key = keys.find(allocation.key_id);
  if (key == nullptr) return {Admission::hold, {}};
  const auto verified = media::verify_allocation(blob, key->key);
  if (!verified) return {Admission::bad_allocation, {}};
  return {Admission::admit, *verified};
}

std::optional<wire::Allocation> verify_own_allocation(const wire::AllocationBlob& blob,
                                                      const NodeId& receiver,
                                                      const OnlineKeys& keys) {
  const auto parsed = wire::parse_allocation(blob);
  if (!parsed || parsed->receiver != receiver) return std::nullopt;
  const media::OnlineKey* key = keys.find(parsed->key_id);
  if (key == nullptr) return std::nullopt;
  const auto verified = media::verify_allocation(blob, key->key);
  if (!verified) return std::nullopt;
  return *verified;
}

}  // namespace tayga::relay
