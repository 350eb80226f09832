#pragma once

#include "common/admin/errors.hpp"
#include "common/admin/message.hpp"
#include "common/base/result.hpp"
#include "common/base/time.hpp"

#include <boost/json/object.hpp>

#include <string>
#include <string_view>

namespace tayga::admin {

/// Sends one command to the daemon behind `socket_path` and waits for its answer. Blocks, at most
/// for `timeout`; needs no event loop. A Failure is the daemon's own answer.
/// Errors: not_running, permission_denied, timeout, protocol, bad_path; see exit_code().
Result<Answer> call(const std::string& socket_path, std::string_view command,
                    boost::json::object args, Duration timeout);

}  // namespace tayga::admin
