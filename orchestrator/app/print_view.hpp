#pragma once

#include <string>
#include <string_view>

namespace tayga::orch {

/// A verb's JSON as an operator reads it: aligned columns, units, short ids. Pure.
/// An answer of another shape is returned as it is.
std::string to_human(std::string_view verb, const std::string& json_text);

}  // namespace tayga::orch
