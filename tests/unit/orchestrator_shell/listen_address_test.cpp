#include "orchestrator/app/listen_address.hpp"

#include "orchestrator/keys/startup_error.hpp"
#include "tests/support/catch.hpp"

using namespace tayga::orch;

TEST_CASE("a listen address is a numeric host and a port") {
  CHECK(parse_listen_address("127.0.0.1:7401", "x").port() == 7401);
  CHECK(parse_listen_address("0.0.0.0:0", "x").port() == 0);
  CHECK(parse_listen_address("[::]:7400", "x").address().is_v6());
}

TEST_CASE("any other listen address is refused with the setting, the value and an example") {
  for (const char* bad : {"", ":1", "127.0.0.1", "127.0.0.1:", "localhost:1", "::1:7400",
                          "[127.0.0.1]:1", "127.0.0.1:65536", "127.0.0.1:1x"}) {
    try {
      parse_listen_address(bad, "--http");
      FAIL("accepted " << bad);
    } catch (const StartupError& error) {
      const std::string message = error.what();
      CHECK(error.exit_code() == tayga::ExitCode::config);
      CHECK(message.find("--http is '" + std::string{bad} + "'") == 0);
      CHECK(message.find("127.0.0.1:7400") != std::string::npos);
    }
  }
}
