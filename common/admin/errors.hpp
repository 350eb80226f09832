#pragma once

#include "common/base/result.hpp"

#include <boost/system/error_category.hpp>
#include <boost/system/is_error_code_enum.hpp>

namespace tayga::admin {

enum class AdminErrc {
  not_running = 1,    ///< no socket, or nobody behind it: exit code 3
  permission_denied,  ///< the socket belongs to somebody else: exit code 77
  timeout,            ///< no answer in time: exit code 75
  protocol,           ///< the other side does not speak this protocol, or the message is too large
  already_running,    ///< a living program answers on this socket
  unsafe_folder,      ///< others may write to the socket's folder
  bad_path,  ///< longer than a socket address holds (107 bytes), or something else is there
};

const boost::system::error_category& admin_category() noexcept;
error_code make_error_code(AdminErrc code) noexcept;

/// The exit code of a command-line program for a failed call (69 when it is none of ours).
int exit_code(const error_code& error) noexcept;

}  // namespace tayga::admin

template <>
struct boost::system::is_error_code_enum<tayga::admin::AdminErrc> : std::true_type {};
