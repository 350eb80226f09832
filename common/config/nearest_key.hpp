#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tayga::config {

/// How many letters must be added, dropped, changed or swapped with their neighbour to turn one
/// word into the other (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate that was probably meant; nullopt when none is near. The first of equals wins.
std::optional<std::string> nearest_key(std::string_view key,
                                       std::span<const std::string> candidates);

}  // namespace tayga::config
