#pragma once

#include "common/base/result.hpp"

namespace tayga::orch {

enum class WorldErrc {
  stream_exists = 1,
  stream_not_found,
  bad_stream_name,
  bad_stripe_count,
  streams_full,
  nodes_full,
  bad_hello,
  node_not_connected,
  not_a_gateway,
  other_gateway,
  other_key,
  key_in_use,
  old_publisher_epoch,
  bad_tracks,
  bad_claim,
};

const boost::system::error_category& world_category() noexcept;
inline error_code make_error_code(WorldErrc e) noexcept {
  return {static_cast<int>(e), world_category()};
}

}  // namespace tayga::orch

template <>
struct boost::system::is_error_code_enum<tayga::orch::WorldErrc> : std::true_type {};
