#pragma once

#include "common/async/task.hpp"
#include "common/base/bytes.hpp"
#include "common/base/result.hpp"
#include "common/base/time.hpp"
#include "common/crypto/ed25519.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace tayga::transport::tls {

/// The certificates (DER, the server's own first) that a TLS 1.3 server at host:port presents.
///
/// Nothing about them is verified: the caller looks for the one whose SHA-256 it already knows (the
/// join URL's fingerprint) and believes nothing else. `host` may be a name. Our certificate is
/// shown when the server asks for one; ALPN is h2. `identity` is used during the call only, not by
/// the task. Errors: connect_failed (unknown name, nobody listens), handshake_failed, timed_out.
async::Task<Result<std::vector<Bytes>>> fetch_certificate_chain(std::string host,
                                                                std::uint16_t port,
                                                                const crypto::SigningKey& identity,
                                                                Duration timeout);

}  // namespace tayga::transport::tls
