#pragma once

#include "common/async/task.hpp"
#include "common/base/bytes.hpp"
#include "common/base/result.hpp"
#include "common/base/strong_id.hpp"
#include "common/base/time.hpp"
#include "common/http/errors.hpp"
#include "common/http/headers.hpp"
#include "common/http/range.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace tayga::http {

struct FetchRequest {
  std::string url;  ///< http or https
  Headers headers;
  std::optional<ByteRange> range;
  Duration timeout = 30s;                         ///< for the whole transfer
  std::uint64_t max_bytes = 64ULL * 1024 * 1024;  ///< a longer answer is an error, not a cut one
};

/// What a 2xx answer says before its body.
struct FetchHead {
  unsigned status = 0;
  Headers headers;  ///< behind all redirects
};

/// How a transfer ended.
struct FetchDone {
  /// Success also for 404 and 500: look at `status`. Else bad_url, connect_failed, tls_failed,
  /// too_slow, too_many_redirects, answer_too_large, protocol_failed or queue_full.
  error_code error;
  std::string message;  ///< for people, with the URL; empty on success
  unsigned status = 0;  ///< 0: no answer
  Headers headers;      ///< of the last answer, behind all redirects
  std::string url;      ///< after redirects
  std::uint64_t body_size = 0;

  [[nodiscard]] bool ok() const noexcept { return !error && status / 100 == 2; }
};

struct FetcherOptions {
  std::size_t transfers_max = 32;  ///< at once; the rest waits
  std::size_t queued_max = 256;    ///< waiting and running; more fail with queue_full
  Duration connect_timeout = 5s;
  std::uint64_t low_speed_bytes_per_s = 64;  ///< slower than this ...
  Duration low_speed_time = 15s;             ///< ... for so long ends the transfer
  std::string proxy;                         ///< "" = none; the environment is not asked
  std::string ca_file;                       ///< PEM; "" = the system's
};

using TransferId = StrongId<struct TransferIdTag, std::uint64_t>;

/// An HTTP(S) client: libcurl in one thread of its own, connections kept for reuse.
///
/// All members and all callbacks belong to the executor's one thread. Redirects are followed, 5 at
/// most, to http and https only. A transfer whose callbacks fall 1 MiB behind is paused.
class Fetcher {
 public:
  /// Before the first bytes of a 2xx answer; not called for one without any.
  using OnHead = std::function<void(const FetchHead&)>;
  /// Bytes of a 2xx answer in order; those of other answers are dropped.
  using OnData = std::function<void(ByteView)>;
  using OnDone = std::function<void(const FetchDone&)>;

  Fetcher(boost::asio::any_io_executor executor, FetcherOptions options);
  /// Cancels everything and joins the thread; takes no longer than a name lookup.
  ~Fetcher();
  Fetcher(const Fetcher&) = delete;
  Fetcher& operator=(const Fetcher&) = delete;

  /// Never blocks and never calls back before it has returned. on_done is called exactly once,
  /// unless the transfer is cancelled; all callbacks are then released.
  TransferId get(FetchRequest request, OnData on_data, OnDone on_done);
  /// The same for who must know what the bytes are before they come.
  TransferId get(FetchRequest request, OnHead on_head, OnData on_data, OnDone on_done);
  /// No callback of it runs any more. An id that has ended is ignored.
  void cancel(TransferId id);

  [[nodiscard]] std::size_t transfer_count() const noexcept;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

struct Fetched {
  FetchDone done;
  Bytes body;
};

/// Fetches a whole answer. Cancelling the task cancels the transfer (error: cancelled).
async::Task<Fetched> fetch_whole(Fetcher& fetcher, FetchRequest request);

/// The URL as it may stand in logs: without user, password and query.
std::string printable_url(std::string_view url);

}  // namespace tayga::http
