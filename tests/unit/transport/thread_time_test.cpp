#include "common/transport/thread_time.hpp"

#include "common/async/clock.hpp"
#include "tests/support/catch.hpp"

#include <thread>

namespace tayga::transport {

TEST_CASE("a thread's time grows with its work, not with its sleep") {
  ThreadClock clock;
  const ThreadTime before = clock.read();
  std::this_thread::sleep_for(std::chrono::milliseconds{50});
  const ThreadTime rested = clock.read();
  CHECK(rested.used - before.used < 25ms);
  while (clock.read().used - rested.used < 30ms) {
  }
  const ThreadTime worked = clock.read();
  CHECK(worked.used - rested.used >= 30ms);
  CHECK(worked.waited >= rested.waited);
}

}  // namespace tayga::transport
