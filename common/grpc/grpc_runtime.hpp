#pragma once

namespace tayga {

/// gRPC's process-wide state. Make one at the start of main(), before anything that uses gRPC, and
/// let it go after everything that did.
///
/// Its end waits for gRPC's threads: otherwise they may still run while exit() takes OpenSSL apart
/// under them. It also turns off Abseil's deadlock detection, which Debian builds in and which
/// aborts the process on a lock order inside gRPC.
class GrpcRuntime {
 public:
  GrpcRuntime();
  ~GrpcRuntime();
  GrpcRuntime(const GrpcRuntime&) = delete;
  GrpcRuntime& operator=(const GrpcRuntime&) = delete;
};

}  // namespace tayga
