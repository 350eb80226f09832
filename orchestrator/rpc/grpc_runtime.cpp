#include "orchestrator/rpc/grpc_runtime.hpp"

#include <absl/synchronization/mutex.h>
#include <grpc/grpc.h>

namespace tayga::orch {

GrpcRuntime::GrpcRuntime() {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  grpc_init();
}

GrpcRuntime::~GrpcRuntime() {
  grpc_shutdown_blocking();
}

}  // namespace tayga::orch
