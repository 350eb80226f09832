#pragma once

#include <string>
#include <string_view>

namespace tayga::ingest {

/// The text as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD, so that a
/// file name from outside cannot break a line of a journal.
std::string json_quote(std::string_view text);

}  // namespace tayga::ingest
