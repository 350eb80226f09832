#pragma once

#include <boost/json/object.hpp>

#include <string>

namespace tayga {

/// What `taygactl streams` says for people: the daemon's answer in lines, peers by the first
/// characters of their ids. Throws what boost::json throws when the answer is of another version.
std::string describe_streams(const boost::json::object& answer);

}  // namespace tayga
