#pragma once

#include "common/base/result.hpp"

namespace tayga::orch {

/// Why a node's message is refused. Every one ends the session: an honest node sends none of them.
enum class RpcErrc {
  not_protobuf = 1,
  too_large,        ///< above kControlMessageMax or kReceiptMessageMax
  unknown_message,  ///< of a newer version: ignore it and go on
  unsupported_version,
  bad_id,       ///< not of its fixed size
  bad_name,     ///< a stream name outside [a-z0-9][a-z0-9._-]{0,62}
  bad_address,  ///< not numeric, multicast, or port 0
  bad_enum,
  too_many,  ///< more elements than the limit of their kind
  out_of_range,
  bad_text,  ///< longer than its limit
};

const boost::system::error_category& rpc_category() noexcept;
inline error_code make_error_code(RpcErrc code) noexcept {
  return {static_cast<int>(code), rpc_category()};
}

}  // namespace tayga::orch

template <>
struct boost::system::is_error_code_enum<tayga::orch::RpcErrc> : std::true_type {};
