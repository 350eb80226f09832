#pragma once

#include "common/async/task.hpp"
#include "common/async/task_group.hpp"
#include "common/base/time.hpp"
#include "common/crypto/ed25519.hpp"
#include "common/crypto/hash.hpp"
#include "daemon/core/assignment.hpp"
#include "daemon/ingest/ingest_error.hpp"
#include "daemon/ingest/object_journal.hpp"
#include "daemon/ingest/publish_target.hpp"
#include "daemon/ingest/publisher.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tayga::ingest {

/// Permission to publish a stream, from the control session.
struct StreamOffer {
  relay::StreamDescriptor stream;  ///< its id is taken from `key`
  std::shared_ptr<const crypto::SigningKey> key;
  std::optional<crypto::Sha256Digest> ingest_key_sha256;  ///< nullopt: no uploads, only pull
};

struct PublisherPoolOptions {
  PublisherLimits limits = {};
  Duration idle_max = 60s;           ///< a stream without an upload this long has ended
  ObjectJournal* journal = nullptr;  ///< outlives the pool
};

/// The streams that this gateway may publish, and a running publisher for each that is live.
///
/// A publisher starts with the first upload, under a new epoch, and stops when the stream was idle
/// or withdrawn. Lives on one executor; co_await stop() before it is destroyed.
class PublisherPool {
  struct Run;

 public:
  /// One file being published. Destroyed unfinished, it is given up.
  class Upload {
   public:
    Upload(Upload&&) noexcept = default;
    Upload& operator=(Upload&&) = delete;
    ~Upload();
    /// Errors as Publisher::append; the upload has then ended. Pre: not finished.
    IngestResult<void> append(ByteView bytes);
    /// Errors as Publisher::finish. Once, and last.
    IngestResult<void> finish();

   private:
    friend class PublisherPool;
    Upload(std::shared_ptr<Run> run, UploadId id) : run_{std::move(run)}, id_{id} {}
    std::shared_ptr<Run> run_;
    UploadId id_;
  };

  struct Status {
    std::string name;
    bool live = false;
    PublisherEpoch epoch;
    std::vector<relay::TrackInfo> tracks;
    Publisher::Counters counters;  ///< of all runs
  };

  /// `target` outlives the pool.
  PublisherPool(boost::asio::any_io_executor executor, PublishTarget& target,
                PublisherPoolOptions options);
  ~PublisherPool();

  /// Adds an offer or replaces the one of that name. Another stream key or stripe count ends the
  /// running publisher; the next upload starts a new one. Pre: offer.key.
  void offer(StreamOffer offer);
  /// Ends its publisher, if it runs, and forgets the stream.
  void withdraw(const std::string& name);
  /// The orchestrator has said all that it offers: from now on an unknown name is a wrong name.
  void set_offers_known() noexcept { offers_known_ = true; }
  [[nodiscard]] bool offers_known() const noexcept { return offers_known_; }

  /// nullptr: not offered. Valid until the next offer() or withdraw().
  [[nodiscard]] const StreamOffer* find(std::string_view name) const;

  /// Errors: those of Publisher::begin; stopped when the stream is not offered.
  IngestResult<Upload> begin(const std::string& name, std::string path);
  IngestResult<void> learn(const std::string& name, const std::string& path, std::string_view text);
  void remove(const std::string& name, std::string_view path);
  /// The newest accepted text of a playlist; nullptr: none. Valid until the next call.
  [[nodiscard]] const std::string* playlist(std::string_view name, std::string_view path) const;

  [[nodiscard]] std::vector<Status> status() const;
  /// Ends all publishers, and with them all uploads.
  async::Task<void> stop();

 private:
  struct Stream {
    StreamOffer offer;
    std::shared_ptr<Run> run;
    PublisherEpoch last_epoch;
    Publisher::Counters counters;  // of runs that ended
  };
  static constexpr std::size_t kRunsMax = 256;

  std::shared_ptr<Run> ensure_run(Stream& stream);
  void end_run(Stream& stream);
  static async::Task<void> drive(std::shared_ptr<Run> run, Duration idle_max);

  boost::asio::any_io_executor executor_;
  PublishTarget& target_;
  PublisherPoolOptions options_;
  async::TaskGroup drivers_;
  std::map<std::string, Stream, std::less<>> streams_;
  bool offers_known_ = false;
};

}  // namespace tayga::ingest
