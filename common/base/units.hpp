#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.hpp"
#include "common/base/time.hpp"

namespace tayga {

/// Parses "10mbit", "800kbit", "1gbit", "2500000" (bit/s; decimal multiples; case-insensitive).
/// Error: invalid_argument when malformed, negative or beyond 2^63.
Result<std::uint64_t> parse_rate_bps(std::string_view text);

/// Parses "500G", "64MiB", "10MB", "4096" into bytes: K/M/G/T and KB.. are decimal, KiB.. are binary.
Result<std::uint64_t> parse_size_bytes(std::string_view text);

/// Parses "250ms", "30s", "10m", "2h", "7d". A bare number is refused: the unit must be said.
Result<Duration> parse_duration(std::string_view text);

/// "3.2 Mbit/s": three significant digits, decimal multiples.
std::string format_rate(std::uint64_t bps);
/// "1.5 GB": three significant digits, decimal multiples.
std::string format_size(std::uint64_t bytes);
/// "1 h 12 min", "3.4 s", "12 ms".
std::string format_duration(Duration duration);

}  // namespace tayga
