#include "orchestrator/rpc/ungreeted_sessions.hpp"

#include "tests/support/catch.hpp"

using namespace tayga::orch;

namespace {

UngreetedSessions sessions() {
  return UngreetedSessions{{5, 2}};
}

}  // namespace

TEST_CASE("one network has room for few sessions without a hello, another is not hindered") {
  UngreetedSessions ungreeted = sessions();
  CHECK(ungreeted.add(SessionId{1}, "192.0.2.1"));
  CHECK(ungreeted.add(SessionId{2}, "192.0.2.200"));
  CHECK_FALSE(ungreeted.add(SessionId{3}, "192.0.2.3"));
  CHECK(ungreeted.add(SessionId{4}, "192.0.3.3"));
  CHECK(ungreeted.add(SessionId{5}, "2001:db8:1::1"));
  CHECK(ungreeted.size() == 4);
}

TEST_CASE("all networks together have room for a bounded number") {
  UngreetedSessions ungreeted = sessions();
  for (std::uint64_t i = 0; i < 5; ++i) {
    CHECK(ungreeted.add(SessionId{i}, "10.0." + std::to_string(i) + ".1"));
  }
  CHECK_FALSE(ungreeted.add(SessionId{9}, "10.0.9.1"));
}

TEST_CASE("a hello or an end makes room, and only once") {
  UngreetedSessions ungreeted = sessions();
  CHECK(ungreeted.add(SessionId{1}, "192.0.2.1"));
  CHECK(ungreeted.add(SessionId{2}, "192.0.2.2"));
  ungreeted.remove(SessionId{1});
  ungreeted.remove(SessionId{1});
  ungreeted.remove(SessionId{7});
  CHECK(ungreeted.size() == 1);
  CHECK(ungreeted.add(SessionId{3}, "192.0.2.3"));
  CHECK_FALSE(ungreeted.add(SessionId{4}, "192.0.2.4"));
}
