#pragma once

namespace tayga {

/// Prints the failed condition with its place and aborts. Only for our own bugs, never for input.
[[noreturn]] void check_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace tayga

/// Holds in every build type: a broken invariant must stop the process before it spreads.
#define TAYGA_CHECK(condition) \
  (static_cast<bool>(condition) ? void(0) : ::tayga::check_failed(#condition, __FILE__, __LINE__))
