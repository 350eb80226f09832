#include "orchestrator/app/online_key_watch.hpp"

#include "orchestrator/keys/network_keys.hpp"

namespace tayga::orch {
namespace {

constexpr std::int64_t kHourMs = 3600 * 1000;

}  // namespace

std::string OnlineKeyWatch::trouble(std::int64_t wall_ms) const {
  if (!has_expired(wall_ms)) return {};
  return "the online key has expired and no allocation is signed: run "
         "`tayga-orchestrator init --renew-online-key` and restart";
}

std::optional<OnlineKeyWatch::Notice> OnlineKeyWatch::poll_notice(std::int64_t wall_ms) {
  const bool expired = has_expired(wall_ms);
  if (not_after_ms_ - wall_ms >= kOnlineKeyWarnMs) return std::nullopt;
  // A clock that was set back must not silence it.
  const bool said = said_ms_ && wall_ms >= *said_ms_ && wall_ms - *said_ms_ < kHourMs;
  if (said && expired == said_expired_) return std::nullopt;
  said_ms_ = wall_ms;
  said_expired_ = expired;
  return Notice{expired, expired ? 0 : (not_after_ms_ - wall_ms) / kHourMs};
}

}  // namespace tayga::orch
