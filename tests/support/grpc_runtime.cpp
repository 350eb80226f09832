// Linked into tests that use gRPC: it lives from before the first test until after the last.
#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include "common/grpc/grpc_runtime.hpp"

#include "tests/support/catch.hpp"

#include <optional>

namespace tayga::test {

namespace {

#ifdef TAYGA_CATCH2_V3
using ListenerBase = Catch::EventListenerBase;
#else
using ListenerBase = Catch::TestEventListenerBase;
#endif

class GrpcListener : public ListenerBase {
 public:
  using ListenerBase::ListenerBase;
  void testRunStarting(const Catch::TestRunInfo& info) override {
    ListenerBase::testRunStarting(info);
    runtime_.emplace();
  }
  void testRunEnded(const Catch::TestRunStats& stats) override {
    runtime_.reset();
    ListenerBase::testRunEnded(stats);
  }

 private:
  std::optional<GrpcRuntime> runtime_;
};

CATCH_REGISTER_LISTENER(GrpcListener)

}  // namespace

}  // namespace tayga::test
