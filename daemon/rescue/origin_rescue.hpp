#pragma once

#include "common/base/bytes.hpp"
#include "common/http/fetch.hpp"
#include "daemon/core/relay.hpp"
#include "daemon/rescue/range_answer.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace tayga::rescue {

/// Takes what the origin gave, on the executor: the relay, through its driver.
class OriginAnswers {
 public:
  virtual ~OriginAnswers() = default;
  virtual void on_origin_bytes(std::uint64_t request, std::uint64_t offset, ByteView bytes) = 0;
  virtual void on_origin_done(std::uint64_t request, const relay::Relay::OriginDone& done) = 0;
};

/// The last resort of a node that no peer can help in time: parts of objects by HTTP range from the
/// stream's origin.
///
/// On one executor, not thread-safe; `answers` must outlive it. Each request is answered by exactly
/// one on_origin_done(), possibly before fetch() returns. Bounded: transfers_max at once,
/// queued_max behind them, of which the oldest is given up for a further one: its deadline is the
/// nearest, so it is lost first. What comes is not trusted: the relay checks it against signed
/// hashes.
class OriginRescue {
 public:
  struct Options {
    std::size_t transfers_max = 4;
    std::size_t queued_max = 64;
    std::uint64_t object_size_max = 64ULL * 1024 * 1024;
    Duration timeout = 5s;  ///< of one transfer; by then its object is late for everybody
    Duration connect_timeout = 2s;
  };
  struct Counters {
    std::uint64_t failed = 0;      ///< answered without all that was asked for
    std::uint64_t overflowed = 0;  ///< of them, given up for a newer one
  };

  OriginRescue(boost::asio::any_io_executor executor, OriginAnswers& answers, Options options);
  /// Without a callback for what is under way.
  ~OriginRescue();
  OriginRescue(const OriginRescue&) = delete;
  OriginRescue& operator=(const OriginRescue&) = delete;

  /// Fails at once where the origin cannot have it: no http(s) URL, a path that only we made up.
  void fetch(const relay::Relay::FetchOrigin& action);
  /// Fails what is under way and all that comes later. Takes no longer than a name lookup.
  void stop();

  [[nodiscard]] const Counters& counters() const noexcept { return counters_; }

 private:
  struct Job {
    std::uint64_t request = 0;
    std::string url;
    RangeAnswer answer;
    http::TransferId transfer{0};
  };

  void start_waiting();
  void start(Job job);
  void on_head(std::uint64_t request, const http::FetchHead& head);
  void on_data(std::uint64_t request, ByteView bytes);
  void on_done(std::uint64_t request, const http::FetchDone& done);
  void end(std::uint64_t request);
  void refuse(std::uint64_t request);

  boost::asio::any_io_executor executor_;
  OriginAnswers& answers_;
  Options options_;
  Counters counters_;
  bool stopped_ = false;
  std::deque<Job> waiting_;
  std::map<std::uint64_t, Job> running_;
  std::unique_ptr<http::Fetcher> fetcher_;  ///< made with the first request: most nodes need none
};

/// Where the object at `path` of a stream lies at its origin; empty when it cannot be there.
std::string object_url(std::string_view origin_url, std::string_view path);

}  // namespace tayga::rescue
