#pragma once

#include "common/base/time.hpp"

#include <cstdint>
#include <string>

/// The other way round of common/base/units: exact texts that parse back to the same value.
namespace tayga::config {

std::string rate_text(std::uint64_t bps);      ///< "10mbit", "1500bit"
std::string size_text(std::uint64_t bytes);    ///< "500G", "64KiB", "1000001B"
std::string duration_text(Duration duration);  ///< "30s", "1500ms"; pre: not negative

}  // namespace tayga::config
