#pragma once

#include "tests/bench/process.hpp"
#include "tests/bench/transports.hpp"

#include <memory>

namespace tayga::bench {

/// A process that takes sessions and keeps them. Ready: {port}. Serves
///   usage {}        {sessions, ended, cpu_s, rss_bytes}
///   feed {bytes}    sends so much media to every session; answers when all have taken it
std::unique_ptr<Role> start_acceptor(const TransportSetup& setup, const crypto::SigningKey& key,
                                     unsigned cpu);

/// A process that dials sessions and keeps them. Serves
///   make {transports}        further dialing transports, each with an identity of its own
///   dial {port, sessions}    that many from each of the last made; {cpu_s} that it took
std::unique_ptr<Role> start_dialer(const TransportSetup& setup, const NodeId& acceptor,
                                   unsigned cpu);

}  // namespace tayga::bench
