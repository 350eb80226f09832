#pragma once

#include "common/async/task.hpp"
#include "common/base/bytes.hpp"
#include "common/base/result.hpp"
#include "common/http/headers.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tayga::http {

class Connection;
struct Request;

/// Writes the one answer to a request: either send(), or start(), write()..., finish().
///
/// Every call waits until the socket has taken the bytes, so a slow client slows its handler and
/// nothing queues up. For HEAD the fields are sent and the body is swallowed. Content-Length,
/// Transfer-Encoding, Connection and Date are set here and must not be given.
/// Errors: write_stalled, invalid_answer (a field with a control character, or a body of another
/// length than announced: the connection is then cut), or the socket's: the client is gone, return.
class ResponseWriter {
 public:
  ResponseWriter(Connection& connection, const Request& request) noexcept;

  /// A whole answer. `body` must stay in place until this returns.
  async::Task<Result<void>> send(unsigned status, Headers headers, ByteView body);
  async::Task<Result<void>> send(unsigned status, Headers headers, std::string_view body);
  /// `text` and a line break as text/plain.
  async::Task<Result<void>> send_text(unsigned status, std::string text);

  /// Begins an answer; chunked (HTTP/1.0: until close) when the length is not known.
  async::Task<Result<void>> start(unsigned status, Headers headers,
                                  std::optional<std::uint64_t> content_length);
  /// `body` must stay in place until this returns.
  async::Task<Result<void>> write(ByteView body);
  /// Ends an answer begun with start(); without it the client sees a truncated one.
  async::Task<Result<void>> finish();

  [[nodiscard]] bool started() const noexcept { return started_; }
  [[nodiscard]] bool finished() const noexcept { return finished_; }
  /// The status given; 0 before.
  [[nodiscard]] unsigned status() const noexcept { return status_; }

 private:
  enum class Coding { length, chunked, until_close };

  Result<std::string> make_head(unsigned status, const Headers& headers,
                                std::optional<std::uint64_t> content_length);
  [[nodiscard]] bool has_body() const noexcept;

  Connection& connection_;
  const bool head_request_;
  const unsigned version_;
  Coding coding_ = Coding::length;
  std::uint64_t remaining_ = 0;
  unsigned status_ = 0;
  bool started_ = false;
  bool finished_ = false;
};

}  // namespace tayga::http
