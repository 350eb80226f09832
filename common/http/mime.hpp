#pragma once

#include <string_view>

namespace tayga::http {

/// The Content-Type for a file name by its extension, any case; "application/octet-stream" when
/// unknown. Covers what HLS and DASH publish and what our own pages need.
std::string_view mime_type(std::string_view path) noexcept;

}  // namespace tayga::http
