#pragma once

#include "common/base/bytes.hpp"
#include "common/http/fetch.hpp"

#include <cstdint>
#include <optional>

namespace tayga::rescue {

/// A part of an object at its origin.
struct Part {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  ///< 0 = to the end
  friend bool operator==(const Part&, const Part&) = default;
};

/// Which bytes of an origin's answer are those that were asked for.
///
/// Sans-IO. An origin may answer a range with 206 and a Content-Range, or leave the range out and
/// answer 200 with everything: then what lies before the part is skipped. Give the head, then the
/// body's bytes in order.
class RangeAnswer {
 public:
  /// Pre: offset + length do not overflow.
  explicit RangeAnswer(const Part& part) : part_{part}, next_{part.offset} {}

  /// What to ask for; nullopt: the whole object.
  [[nodiscard]] std::optional<http::ByteRange> range() const;

  /// False: the answer is of no use (another part, another coding); end the transfer.
  [[nodiscard]] bool on_head(const http::FetchHead& head);

  struct Piece {
    std::uint64_t offset = 0;  ///< in the object
    ByteView bytes;
  };
  /// The asked part of the next bytes; empty bytes: none of them. Pre: on_head() was true.
  [[nodiscard]] Piece on_body(ByteView bytes);

  /// Nothing more is needed: end the transfer.
  [[nodiscard]] bool is_full() const noexcept;
  /// The body ended as its framing promised.
  void on_end();
  /// An answer of status 416: it may say how large the object is.
  void on_unsatisfied(const http::Headers& headers);

  /// All that was asked for came.
  [[nodiscard]] bool is_complete() const noexcept;
  /// Of the whole object, as far as the origin said so.
  [[nodiscard]] std::optional<std::uint64_t> size() const noexcept { return size_; }

 private:
  Part part_;
  std::uint64_t at_ = 0;   ///< where the next byte of the body lies in the object
  std::uint64_t next_;     ///< first byte of the part that has not come
  bool is_whole_ = false;  ///< the body is the whole object
  std::optional<std::uint64_t> size_;
};

}  // namespace tayga::rescue
