#pragma once

#include "daemon/core/upload_budget.hpp"

#include <boost/json/object.hpp>

namespace tayga {

/// What `taygactl limits` shows: each limit, what is used of it, and in words why nothing is sent
/// when that is so. 0 in a limit = none.
boost::json::object limits_json(const relay::UploadBudget& budget, bool paused, TimePoint now);

}  // namespace tayga
