#pragma once

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"
#include "common/http/request.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

namespace tayga::http {

/// How a request's body is delimited.
struct BodyFraming {
  bool chunked = false;
  std::uint64_t content_length = 0;  ///< meaningless when chunked
  bool expects_continue = false;     ///< the client waits for "100 Continue"
  friend bool operator==(const BodyFraming&, const BodyFraming&) = default;
};

struct ParsedHead {
  Request request;  ///< `remote` is left for the caller to fill
  BodyFraming framing;
};

/// Reads one request head: the request line and the fields, up to the empty line.
///
/// Sans-IO. Strict: what two implementations could read differently (both lengths, two Hosts, a
/// coding other than chunked, bare line feeds) is an error, so nothing can be smuggled past us.
class RequestParser {
 public:
  /// Pre: header_size_max >= 64.
  explicit RequestParser(std::size_t header_size_max);
  ~RequestParser();
  RequestParser(RequestParser&&) noexcept;
  RequestParser& operator=(RequestParser&&) noexcept;

  /// Looks at all bytes received since the end of the last message. nullopt: more are needed, call
  /// again with the same bytes and more behind them. A value: `head_size()` bytes belong to the
  /// head. Errors: answer http_status(error) and close. Must not be called again after a value or
  /// an error.
  Result<std::optional<ParsedHead>> parse(ByteView received);

  [[nodiscard]] std::size_t head_size() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tayga::http
