#pragma once

#include "common/base/bytes.hpp"
#include "common/http/fetch.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

namespace tayga::http {

/// The thread behind Fetcher: drives all transfers with one curl_multi.
///
/// The events are called in that thread. start(), cancel() and resume() may be called from any.
class CurlWorker {
 public:
  struct Events {
    /// Once, before the first bytes of a 2xx answer.
    std::function<void(TransferId, FetchHead)> on_head;
    /// True: go on. False: pause until resume(); the bytes will be offered again.
    std::function<bool(TransferId, ByteView)> on_data;
    std::function<void(TransferId, FetchDone)> on_done;
  };

  CurlWorker(FetcherOptions options, Events events);
  ~CurlWorker();  ///< Ends all transfers without events and joins the thread.
  CurlWorker(const CurlWorker&) = delete;
  CurlWorker& operator=(const CurlWorker&) = delete;

  void start(TransferId id, FetchRequest request);
  void cancel(TransferId id);
  void resume(TransferId id);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tayga::http
