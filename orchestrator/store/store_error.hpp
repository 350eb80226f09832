#pragma once

#include "common/base/result.hpp"

namespace tayga::orch {

enum class StoreErrc {
  locked = 1,  ///< another process has it open
  no_permission,
  no_space,  ///< comes right when space is freed
  corrupt,
  newer_version,  ///< written by a later release
  lost_commits,   ///< fewer commits than were acknowledged: read-only
  io,             ///< until restart nothing more is stored: what the disk holds is uncertain
};

const boost::system::error_category& store_category() noexcept;
inline error_code make_error_code(StoreErrc e) noexcept {
  return {static_cast<int>(e), store_category()};
}

}  // namespace tayga::orch

template <>
struct boost::system::is_error_code_enum<tayga::orch::StoreErrc> : std::true_type {};
