#pragma once

#include "common/base/ids.hpp"
#include "common/base/time.hpp"
#include "common/crypto/ed25519.hpp"
#include "common/media/allocation_term.hpp"
#include "common/wire/allocation.hpp"
#include "orchestrator/app/epoch_book.hpp"
#include "orchestrator/model/records.hpp"
#include "orchestrator/rpc/node_messages.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace tayga::orch {

inline constexpr Duration kAllocationTerm = media::kAllocationTerm;
inline constexpr std::int64_t kAllocationRenewPercent = 80;  ///< of the term, then a fresh one
inline constexpr std::uint32_t kAllocationKbpsMin = 1000;
/// A track whose rate nobody has measured yet.
inline constexpr std::uint64_t kUnknownTrackBps = 8'000'000;

/// Turns the World's target states into what nodes get: descriptors, and for each parent,
/// standby and rescuing gateway its addresses and one signed allocation.
///
/// No clock, no socket; world thread only. An allocation of the same link that covers what is asked
/// and is younger than 80 % of its term is given again, so re-solving costs no signatures and does
/// not multiply caps. An expired online key signs nothing: what was granted before is given until
/// it ends.
class AssignmentIssuer {
 public:
  struct Options {
    NetworkId network;
    std::uint32_t key_id = 0;
    std::uint64_t incarnation = 0;
    std::int64_t key_not_after_ms = std::numeric_limits<std::int64_t>::max();
  };
  /// Fills with unpredictable bytes.
  using RandomSource = std::function<void(std::span<std::byte>)>;
  /// nullptr: the node is not known.
  using NodeLookup = std::function<const NodeRecord*(const NodeId&)>;

  /// `online_key` and `epochs` outlive the issuer.
  AssignmentIssuer(const Options& options, const crypto::SigningKey& online_key,
                   const EpochBook& epochs, RandomSource random);

  /// Pre: `epochs` knows an epoch; `stream.id` is the assignment's.
  IssuedAssignment issue(const NodeAssignment& assignment, const StreamRecord& stream,
                         const NodeLookup& nodes, std::int64_t wall_ms);

  /// The node begins a session and carries `held` only: what it was granted for other streams is
  /// not given again. A node that restarted counts a link's bytes from 0, and its sender keeps the
  /// largest total of an allocation, so under the same one its first receipts would be lost.
  void forget(const NodeId& receiver, const std::set<StreamId>& held);
  /// The node is gone: its allocations need no renewal.
  void on_disconnected(const NodeId& node);
  /// Who has an allocation in use that is past 80 % of its term: (receiver, stream).
  [[nodiscard]] std::set<std::pair<NodeId, StreamId>> due(std::int64_t wall_ms) const;
  [[nodiscard]] bool has_due(std::int64_t wall_ms) const { return !due(wall_ms).empty(); }
  /// After a round of renewals: what is still due is not in use any more. Also forgets the expired.
  void end_renewal(std::int64_t wall_ms);
  /// Whether `receiver` may have got bytes of `stream` from `sender` in the current term.
  [[nodiscard]] bool has_granted(const StreamId& stream, const NodeId& sender,
                                 const NodeId& receiver) const;
  [[nodiscard]] std::uint64_t signed_total() const noexcept { return signed_total_; }

 private:
  struct Grant {
    wire::Allocation allocation;
    wire::AllocationBlob blob{};
    bool in_use = false;
  };
  struct Need {
    std::uint32_t stripe_mask = 0;
    std::uint64_t rate_bps = 0;
  };
  using LinkKey = std::pair<NodeId, StreamId>;  // receiver, stream: a node's links lie together

  static std::map<NodeId, Need> needs(const NodeAssignment& assignment, const StreamRecord& stream);
  static bool serves(const Grant& grant, const Need& need, std::int64_t wall_ms);
  Grant sign(const NodeAssignment& assignment, const NodeId& sender, const Need& need,
             std::int64_t wall_ms);

  const Options options_;
  const crypto::SigningKey& online_key_;
  const EpochBook& epochs_;
  const RandomSource random_;
  std::map<LinkKey, std::map<NodeId, Grant>> grants_;  // by sender
  std::uint64_t signed_total_ = 0;
};

}  // namespace tayga::orch
