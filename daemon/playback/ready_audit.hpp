#pragma once

#include "common/base/ids.hpp"
#include "daemon/core/object_store.hpp"
#include "daemon/ingest/object_journal.hpp"

#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>

namespace tayga::playback {

/// Notes in the object journal each object that became whole at this viewer, once.
///
/// For audits: reads every object again to hash it. Call on_progress() when objects of a played
/// track changed. The journal outlives it.
class ReadyAudit {
 public:
  explicit ReadyAudit(ingest::ObjectJournal& journal) : journal_{journal} {}

  void on_progress(const std::string& stream, TrackId track, const relay::ObjectStore& store);

 private:
  using Key = std::pair<PublisherEpoch, ObjectId>;
  /// Remembered per track, far more than a window holds.
  static constexpr std::size_t kNotedMax = 4096;
  struct Noted {
    std::set<Key> keys;
    std::deque<Key> order;
  };

  ingest::ObjectJournal& journal_;
  std::map<std::pair<std::string, TrackId>, Noted> tracks_;
};

}  // namespace tayga::playback
