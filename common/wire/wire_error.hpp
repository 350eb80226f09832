#pragma once

#include "common/base/result.hpp"

namespace tayga::wire {

enum class WireErrc {
  need_more = 1,
  truncated,
  trailing_bytes,
  unknown_frame_type,
  payload_too_large,
  chunk_too_large,
  chunk_empty,
  bad_tag,
  bad_version,
  reserved_not_zero,
  bad_field,
  bad_signature,
};

const boost::system::error_category& wire_category() noexcept;
inline error_code make_error_code(WireErrc e) noexcept {
  return {static_cast<int>(e), wire_category()};
}

}  // namespace tayga::wire

template <>
struct boost::system::is_error_code_enum<tayga::wire::WireErrc> : std::true_type {};
