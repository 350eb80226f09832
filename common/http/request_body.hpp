#pragma once

#include "common/async/task.hpp"
#include "common/base/result.hpp"
#include "common/base/time.hpp"
#include "common/http/body_decoder.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace tayga::http {

class Connection;

/// A request's body as it arrives. Owned by the connection, lent to the handler.
class RequestBody {
 public:
  RequestBody(Connection& connection, const BodyFraming& framing) noexcept;

  /// Replaces ServerOptions::body_size_max for this request. Call before the first read.
  void set_size_max(std::uint64_t bytes) noexcept { size_max_ = bytes; }
  /// nullopt when the body is chunked.
  [[nodiscard]] std::optional<std::uint64_t> content_length() const noexcept;

  /// Waits for some bytes of the body; 0 = its end. Sends "100 Continue" when the client waits for
  /// it. Errors, after each of which the body is useless: body_too_large (before a byte is read if
  /// Content-Length says so), body_timeout, bad_body, truncated, or the socket's. A handler that
  /// just returns then lets the server give the fitting answer. Pre: `out` is not empty.
  async::Task<Result<std::size_t>> read_some(std::span<std::byte> out);
  /// The whole body; for small ones, within the size limit.
  async::Task<Result<std::string>> read_all();

  [[nodiscard]] bool done() const noexcept { return decoder_.done(); }
  [[nodiscard]] const error_code& error() const noexcept { return error_; }

 private:
  async::Task<Result<std::size_t>> read_decoded(std::span<std::byte> out);
  async::Task<error_code> say_continue();
  [[nodiscard]] TimePoint deadline(TimePoint now) const noexcept;

  Connection& connection_;
  const BodyFraming framing_;
  BodyDecoder decoder_;
  std::uint64_t size_max_;
  std::uint64_t received_size_ = 0;
  std::optional<TimePoint> began_;
  bool may_continue_;
  error_code error_;
};

}  // namespace tayga::http
