#pragma once

namespace tayga::control {

/// Sends what libprotobuf says about a message to our log at debug level, limited, instead of to
/// stderr: a peer can make it say something with every message. Cheap to repeat, thread-safe.
void route_protobuf_log();

}  // namespace tayga::control
