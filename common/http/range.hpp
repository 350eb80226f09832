#pragma once

#include "common/base/result.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tayga::http {

/// Both ends belong to it, as in Content-Range.
struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  [[nodiscard]] std::uint64_t size() const noexcept { return last - first + 1; }
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

/// Reads a Range field for a file of `size` bytes (RFC 9110 section 14.2). nullopt = send the whole
/// file with 200: there is no field, it is malformed, of another unit, or asks for several ranges.
/// Error: not_satisfiable = answer 416 with content_range_unsatisfied().
Result<std::optional<ByteRange>> parse_range(std::optional<std::string_view> field,
                                             std::uint64_t size);

std::string content_range(const ByteRange& range, std::uint64_t size);  ///< "bytes 0-9/100"
std::string content_range_unsatisfied(std::uint64_t size);              ///< "bytes */100"

}  // namespace tayga::http
