#pragma once

#include "common/base/result.hpp"

namespace tayga::control {

enum class ControlErrc {
  message_too_large = 1,  ///< beyond the frame's payload limit
  malformed,              ///< not protobuf, or nested too deeply
  too_many_parts,         ///< more repeated elements than any honest message has
  unknown_message,        ///< a kind that a newer version may send: ignore it
  bad_size,   ///< an id, signature or blob of the wrong length, or a text that is too long
  bad_value,  ///< a number out of its range
};

const boost::system::error_category& control_category() noexcept;
inline error_code make_error_code(ControlErrc e) noexcept {
  return {static_cast<int>(e), control_category()};
}

}  // namespace tayga::control

template <>
struct boost::system::is_error_code_enum<tayga::control::ControlErrc> : std::true_type {};
