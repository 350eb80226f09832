#pragma once

#include "common/transport/session.hpp"

#include <vector>

namespace tayga {

/// Where peers may reach a node that listens at `bound`: that address when it is a specific one,
/// otherwise every address of the host's interfaces that are up (loopback and link-local left out;
/// loopback alone when there is nothing else). At most 8, IPv4 first. Reads the host's interfaces.
std::vector<transport::Endpoint> advertised_endpoints(const transport::Endpoint& bound);

}  // namespace tayga
