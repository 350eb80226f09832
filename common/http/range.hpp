#pragma once

#include "common/base/result.hpp"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace tayga::http {

/// Both ends belong to it, as in Content-Range.
struct ByteRange {
  static constexpr std::uint64_t kOpenEnd = std::numeric_limits<std::uint64_t>::max();

  std::uint64_t first = 0;
  std::uint64_t last = 0;  ///< kOpenEnd in a request: as far as there is something
  [[nodiscard]] std::uint64_t size() const noexcept { return last - first + 1; }
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

/// Reads a Range field for a file of `size` bytes (RFC 9110 section 14.2). nullopt = send the whole
/// file with 200: there is no field, it is malformed, of another unit, or asks for several ranges.
/// Error: not_satisfiable = answer 416 with content_range_unsatisfied().
Result<std::optional<ByteRange>> parse_range(std::optional<std::string_view> field,
                                             std::uint64_t size);

std::string range_field(const ByteRange& range);                        ///< "bytes=0-9", "bytes=5-"
std::string content_range(const ByteRange& range, std::uint64_t size);  ///< "bytes 0-9/100"
std::string content_range_unsatisfied(std::uint64_t size);              ///< "bytes */100"

/// What a Content-Range field says (RFC 9110 section 14.4).
struct ContentRange {
  std::optional<ByteRange> range;     ///< nullopt with 416: "bytes */100"
  std::optional<std::uint64_t> size;  ///< of the whole; nullopt: "bytes 0-9/*"
  friend bool operator==(const ContentRange&, const ContentRange&) = default;
};
/// nullopt when it is malformed, of another unit, or contradicts itself.
std::optional<ContentRange> parse_content_range(std::string_view field) noexcept;

}  // namespace tayga::http
