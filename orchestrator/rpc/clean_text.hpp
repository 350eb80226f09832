#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tayga::orch {

/// A stranger's label, fit for an operator's terminal and browser: valid UTF-8 of at most
/// `size_max` bytes, cut between characters, without control, line-breaking or direction-changing
/// characters; each broken byte becomes U+FFFD. Cost: O(text), bounded by the message limit.
std::string clean_text(std::string_view text, std::size_t size_max);

}  // namespace tayga::orch
