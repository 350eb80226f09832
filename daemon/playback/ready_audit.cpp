#include "daemon/playback/ready_audit.hpp"

#include "common/crypto/hash.hpp"

#include <optional>

namespace tayga::playback {
namespace {

std::optional<crypto::Sha256Digest> hash_object(const relay::ObjectStore& store,
                                                const relay::ObjectInfo& object) {
  crypto::Sha256 hash;
  std::uint64_t offset = 0;
  while (offset < *object.size) {
    const auto run = store.read(object.epoch, object.id, offset);
    if (!run || run->bytes.empty()) return std::nullopt;
    hash.update(run->bytes);
    offset += run->bytes.size();
  }
  return hash.finish();
}

}  // namespace

void ReadyAudit::on_progress(const std::string& stream, TrackId track,
                             const relay::ObjectStore& store) {
  Noted& noted = tracks_[{stream, track}];
  for (const relay::ObjectInfo& info : store.list()) {
    if (!info.complete() || info.path.empty()) continue;
    const Key key{info.epoch, info.id};
    if (noted.keys.contains(key)) continue;
    const auto digest = hash_object(store, info);
    if (!digest) continue;
    noted.keys.insert(key);
    noted.order.push_back(key);
    if (noted.order.size() > kNotedMax) {
      noted.keys.erase(noted.order.front());
      noted.order.pop_front();
    }
    ingest::ObjectJournal::Ready ready;
    ready.object = {track,   info.epoch,         info.id, info.path, *info.size,
                    *digest, info.publisher_time};
    ready.ready = info.completed_at.value_or(info.publisher_time);
    ready.late = info.late;
    journal_.ready(stream, ready);
  }
}

}  // namespace tayga::playback
