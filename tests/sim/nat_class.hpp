#pragma once

#include <cstdint>

namespace tayga::sim {

/// How a node's router maps and filters UDP (RFC 4787), as far as two nodes that send to each other
/// at the same moment, each to the address that the orchestrator saw of the other, can tell.
enum class NatClass : std::uint8_t {
  open,             ///< a public address, or a port that was mapped
  cone,             ///< one outer port for all peers; lets in any port of whom it sent to
  port_restricted,  ///< one outer port for all peers; lets in only the port that it sent to
  symmetric,        ///< another outer port for each peer, which nobody else can know
};

/// Whether a direct session comes about. The port that a symmetric one uses towards a peer is
/// unknown: nothing passes where the other end lets in only ports that it knows.
[[nodiscard]] constexpr bool gets_through(NatClass a, NatClass b) noexcept {
  const auto needs_port = [](NatClass one) {
    return one == NatClass::port_restricted || one == NatClass::symmetric;
  };
  const bool has_symmetric = a == NatClass::symmetric || b == NatClass::symmetric;
  return !has_symmetric || !needs_port(a) || !needs_port(b);
}

}  // namespace tayga::sim
