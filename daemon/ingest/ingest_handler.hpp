#pragma once

#include "common/async/task.hpp"
#include "common/http/request.hpp"
#include "common/http/request_body.hpp"
#include "common/http/response_writer.hpp"
#include "daemon/ingest/publisher_pool.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tayga::ingest {

/// What an ingest URL means: /ingest/KEY/NAME/PATH, or /ingest/NAME/PATH with the key as Bearer.
struct IngestTarget {
  std::string_view key;
  std::string_view name;
  std::string_view path;
  friend bool operator==(const IngestTarget&, const IngestTarget&) = default;
};

/// Splits a decoded request path. With a `bearer`, the first part is the name when `is_stream`
/// knows it, else the key, as without one. nullopt: it has too few parts.
std::optional<IngestTarget> parse_ingest_target(std::string_view path,
                                                std::optional<std::string_view> bearer,
                                                const PublisherPool& pool);

/// Takes the files of encoders over HTTP: PUT and POST upload, DELETE is answered and ignored (the
/// window decides how long nodes keep what they have), GET gives a playlist back (append_list).
///
/// Lives on the server's executor; the pool outlives it.
class IngestHandler {
 public:
  struct Counters {
    std::uint64_t uploads = 0;
    std::uint64_t uploads_broken = 0;   ///< the client went away, or its body was malformed
    std::uint64_t uploads_refused = 0;  ///< answered 4xx or 5xx with a reason
    std::uint64_t bytes = 0;
    std::uint64_t wrong_keys = 0;
  };

  explicit IngestHandler(PublisherPool& pool, std::uint64_t object_size_max = media::kObjectSizeMax)
      : pool_{pool}, object_size_max_{object_size_max} {}

  /// Answers one request below "/ingest/"; fits http::Handler.
  async::Task<void> handle(http::Request& request, http::RequestBody& body,
                           http::ResponseWriter& answer);

  [[nodiscard]] const Counters& counters() const noexcept { return counters_; }

 private:
  async::Task<void> upload(std::string name, std::string path, http::RequestBody& body,
                           http::ResponseWriter& answer);
  async::Task<void> refuse(std::string name, IngestFailure failure, http::ResponseWriter& answer);
  async::Task<void> read_back(std::string name, std::string path, http::ResponseWriter& answer);

  PublisherPool& pool_;
  std::uint64_t object_size_max_;
  Counters counters_;
};

}  // namespace tayga::ingest
