#pragma once

#include <string>
#include <string_view>

namespace tayga::metrics {

/// [a-zA-Z_:][a-zA-Z0-9_:]*
bool is_metric_name(std::string_view name) noexcept;
/// [a-zA-Z_][a-zA-Z0-9_]*, not beginning with "__", and not "le", which histograms use.
bool is_label_name(std::string_view name) noexcept;

/// For a label value: backslash, double quote and line feed are escaped.
std::string escape_label_value(std::string_view text);
/// For a HELP line: backslash and line feed are escaped.
std::string escape_help(std::string_view text);

/// As the text format writes it: "1", "0.25", "+Inf", "NaN".
std::string format_value(double value);

}  // namespace tayga::metrics
