#pragma once

#include "orchestrator/rpc/node_messages.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>

namespace tayga::orch {

/// What waits to be written to one node. Messages are target states, so a newer one of the same
/// subject takes the older one's place in the queue; receipt answers are kept apart up to a limit.
///
/// Pure, not thread-safe. Bound: `entries_max`, of which at most `receipts_max` are receipt
/// answers.
class Outbox {
 public:
  struct Limits {
    std::size_t entries_max;
    std::size_t receipts_max;
  };
  enum class Pushed : std::uint8_t {
    queued,
    replaced,        ///< an unsent older state of the same subject
    dropped_oldest,  ///< the oldest receipt answer went: the node submits again
    overflow,        ///< not taken: close the session
  };

  explicit Outbox(Limits limits) : limits_{limits} {}

  Pushed push(OrchestratorEvent event);
  std::optional<OrchestratorEvent> pop();

  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
  [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }

 private:
  struct Entry {
    std::uint64_t number;
    std::string subject;  // empty: nothing replaces it
    OrchestratorEvent event;
  };
  Entry& entry(std::uint64_t number);
  void drop_oldest_answer();

  const Limits limits_;
  std::deque<Entry> entries_;  // numbers ascend
  std::unordered_map<std::string, std::uint64_t> by_subject_;
  std::uint64_t next_number_ = 0;
  std::size_t receipts_ = 0;
};

}  // namespace tayga::orch
