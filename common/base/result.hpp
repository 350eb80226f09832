#pragma once

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>

namespace tayga {

using error_code = boost::system::error_code;

/// A value or the error_code of an expected failure. Propagate in the open: `if (!r) return r.error();`.
template <class T = void>
using Result = boost::system::result<T>;

}  // namespace tayga
