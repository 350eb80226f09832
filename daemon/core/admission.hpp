#pragma once

#include "common/base/ids.hpp"
#include "common/media/allocation_term.hpp"
#include "common/media/receipts.hpp"
#include "common/wire/allocation.hpp"
#include "daemon/core/peer_message.hpp"

#include <map>
#include <optional>
#include <span>

namespace tayga::relay {

/// How far past their end this node honours allocations, its own and its children's: who reaches
/// the orchestrator has them renewed in time, who does not goes on with those it has. Pure.
class AllocationGrace {
 public:
  void on_away() noexcept;
  void on_connected(TimePoint now) noexcept;  ///< again within a session: no change
  [[nodiscard]] Duration at(TimePoint now) const noexcept;

 private:
  bool away_ = false;
  std::optional<TimePoint> reconnected_at_;
};

/// The orchestrator's keys that this node trusts, by key id.
class OnlineKeys {
 public:
  void replace(std::vector<media::OnlineKey> keys);
  [[nodiscard]] const media::OnlineKey* find(std::uint32_t key_id) const;
  [[nodiscard]] bool empty() const noexcept { return keys_.empty(); }

 private:
  std::map<std::uint32_t, media::OnlineKey> keys_;
};

/// What an allocation must say to admit one Subscribe.
struct AdmissionCase {
  NetworkId network;
  NodeId self;   ///< the sender
  NodeId child;  ///< the receiver: the session's peer
  std::span<const StreamHandle> handles;
  StripeMask stripes = 0;
  WallTime now;
  Duration past_end{0};  ///< honoured: see AllocationGrace
};

/// `hold`: what is needed to judge may still come from the orchestrator; ask again then.
enum class Admission : std::uint8_t { admit, hold, bad_allocation, expired_allocation };
struct AdmissionResult {
  Admission verdict = Admission::bad_allocation;
  wire::Allocation allocation;  ///< when admitted
};

/// Checks what is cheap first and the signature last.
AdmissionResult judge_allocation(const wire::AllocationBlob& blob, const AdmissionCase& wanted,
                                 const OnlineKeys& keys);

/// Parses and verifies an allocation of which `receiver` is the receiver; nullopt when it is no
/// good or its key is not known (yet).
std::optional<wire::Allocation> verify_own_allocation(const wire::AllocationBlob& blob,
                                                      const NodeId& receiver,
                                                      const OnlineKeys& keys);

/// Wall time in the allocation's unit.
std::int64_t to_unix_ms(WallTime time) noexcept;

}  // namespace tayga::relay
