#include "common/grpc/grpc_runtime.hpp"

#include <absl/synchronization/mutex.h>
#include <grpc/grpc.h>

namespace tayga {

GrpcRuntime::GrpcRuntime() {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  grpc_init();
}

GrpcRuntime::~GrpcRuntime() {
  grpc_shutdown_blocking();
}

}  // namespace tayga
