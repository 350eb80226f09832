#pragma once

#include "common/base/bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

/// What every fuzz target defines; the name and shape are libFuzzer's. A property that does not
/// hold is a TAYGA_CHECK, which aborts.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace tayga::fuzz {

inline ByteView to_view(const std::uint8_t* data, std::size_t size) noexcept {
  return std::as_bytes(std::span{data, size});
}

}  // namespace tayga::fuzz
