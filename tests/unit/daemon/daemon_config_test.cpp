#include "daemon/daemon_config.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/temporary_folder.hpp"

#include <fstream>
#include <string>

namespace tayga {
namespace {

std::string valid_join() {
  return "join = \"tayga://127.0.0.1:7400/" + std::string(52, 'a') + "\"\n";
}

DaemonConfigResult load(const std::string& text,
                        const std::map<std::string, std::string>& environment = {}) {
  const test::TemporaryFolder folder;
  DaemonFlags flags;
  flags.config = folder.path() / "taygad.toml";
  std::ofstream{*flags.config} << valid_join() << text;
  return load_daemon_config(flags, environment);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("peers speak QUIC and TCP unless the owner says otherwise") {
  const auto mode_of = [](const std::string& text) {
    const DaemonConfigResult result = load(text);
    REQUIRE(result.config);
    return result.config->peers_transport;
  };
  CHECK(mode_of("") == peers::TransportMode::automatic);
  CHECK(mode_of("[peers]\ntransport = \"auto\"\n") == peers::TransportMode::automatic);
  CHECK(mode_of("[peers]\ntransport = \"quic\"\n") == peers::TransportMode::quic);
  CHECK(mode_of("[peers]\ntransport = \"tcp\"\n") == peers::TransportMode::tcp);
}

TEST_CASE("an unknown transport is refused with the value and the remedy") {
  const DaemonConfigResult result = load("[peers]\ntransport = \"sctp\"\n");
  CHECK_FALSE(result.config);
  REQUIRE(result.problems.size() == 1);
  CHECK(contains(result.problems.front(), "peers.transport"));
  CHECK(contains(result.problems.front(), "\"sctp\""));
  CHECK(contains(result.problems.front(), "\"auto\", \"quic\" or \"tcp\""));
}

TEST_CASE("the workers are as many as the owner says, or follow the machine") {
  CHECK(load("").config->peers_workers == 0);
  CHECK(load("[peers]\nworkers = 3\n").config->peers_workers == 3);
  CHECK(load("", {{"TAYGA_PEERS_WORKERS", "2"}}).config->peers_workers == 2);
  CHECK_FALSE(load("[peers]\nworkers = 65\n").config);
  CHECK_FALSE(load("[peers]\nworkers = -1\n").config);
  CHECK(peers::worker_count(3) == 3);
  CHECK(peers::worker_count(0) >= 1);
  CHECK(peers::worker_count(0) <= 4);
}

TEST_CASE("the effective configuration shows what peers use and where it was said") {
  const DaemonConfigResult result = load("[peers]\ntransport = \"tcp\"\n");
  CHECK(contains(result.effective, "transport = \"tcp\""));
  CHECK(contains(result.effective, "workers = 0"));
}

}  // namespace tayga
