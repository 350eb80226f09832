#pragma once

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"
#include "common/http/request_parser.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace tayga::http {

inline constexpr std::size_t kChunkLineSizeMax = 1024;     ///< a chunk's size with its extensions
inline constexpr std::size_t kTrailersSizeMax = 4 * 1024;  ///< all fields behind the last chunk

/// Takes the transfer coding off a request body: Content-Length or chunked (RFC 9112 section 7.1).
///
/// Sans-IO, allocates nothing. Extensions and trailers are skipped. Bytes behind the body's end are
/// not touched: they are the next request.
class BodyDecoder {
 public:
  struct Step {
    std::size_t consumed = 0;  ///< of `in`
    std::size_t produced = 0;  ///< of `out`
    friend bool operator==(const Step&, const Step&) = default;
  };

  explicit BodyDecoder(const BodyFraming& framing) noexcept;

  /// Moves body bytes from `in` to `out` until one of them or the body ends. With `out` not empty,
  /// a step that consumes less than `in` has filled `out` or ended the body.
  /// Error: bad_body; the connection cannot be used further.
  Result<Step> decode(ByteView in, std::span<std::byte> out) noexcept;

  [[nodiscard]] bool done() const noexcept { return state_ == State::done; }

 private:
  // size -> [extension] -> size_lf -> data -> data_cr -> data_lf -> size ...
  //                     `-> (size 0) trailer_begin -> trailer -> trailer_lf -> trailer_begin ...
  //                                               `-> end_lf -> done
  enum class State : std::uint8_t {
    identity,
    size,
    extension,
    size_lf,
    data,
    data_cr,
    data_lf,
    trailer_begin,
    trailer,
    trailer_lf,
    end_lf,
    done,
  };

  error_code on_control_byte(unsigned char c) noexcept;
  error_code on_size_byte(unsigned char c) noexcept;

  State state_;
  std::uint64_t remaining_ = 0;  // of the body (identity) or of the chunk
  std::size_t line_size_ = 0;
  std::size_t trailers_size_ = 0;
  bool has_digit_ = false;
};

}  // namespace tayga::http
