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

TEST_CASE("the owner's upload limits are read with their units") {
  const DaemonConfigResult result = load(R"([limits]
upload = "20mbit"
upload_per_peer = "5mbit"
monthly_upload = "500G"
monthly_reset_day = 15
schedule = ["mon-fri 22:00-07:00", "sat,sun 00:00-24:00"]
metered = true
)");
  REQUIRE(result.config);
  const relay::UploadLimits& upload = result.config->upload;
  CHECK(upload.rate_bps == 20'000'000);
  CHECK(upload.session_bps == 5'000'000);
  CHECK(upload.monthly_bytes == 500'000'000'000);
  CHECK(upload.reset_day == 15);
  CHECK(upload.metered);
  relay::UploadSchedule expected;
  REQUIRE(expected.add("mon-fri 22:00-07:00"));
  REQUIRE(expected.add("sat,sun 00:00-24:00"));
  CHECK(upload.schedule == expected);
}

TEST_CASE("without limits everything may be sent") {
  const DaemonConfigResult result = load("");
  REQUIRE(result.config);
  CHECK(result.config->upload_bps == 0);
  CHECK(result.config->upload.rate_bps == 0);
  CHECK(result.config->upload.monthly_bytes == 0);
  CHECK(result.config->upload.schedule.empty());
  CHECK_FALSE(result.config->upload.metered);
}

TEST_CASE("what is declared to the orchestrator never exceeds the cap") {
  const auto declared = [](const std::string& text) {
    const DaemonConfigResult result = load("[limits]\n" + text);
    REQUIRE(result.config);
    return result.config->upload_bps;
  };
  CHECK(declared("upload = \"20mbit\"\n") == 18'000'000);  // the rest is framing and control
  CHECK(declared("uplink = \"50mbit\"\n") == 45'000'000);
  CHECK(declared("upload = \"20mbit\"\nuplink = \"50mbit\"\n") == 18'000'000);
  CHECK(declared("upload = \"20mbit\"\nuplink = \"5mbit\"\n") == 4'500'000);
}

TEST_CASE("a bad upload limit is refused with its place, its value and the remedy") {
  const auto [text, value, remedy] = GENERATE(table<std::string, std::string, std::string>({
      {"upload = \"fast\"", "\"fast\"", "10mbit"},
      {"upload = \"1kbit\"", "\"1kbit\"", "at least \"64kbit\""},
      {"upload_per_peer = \"9\"", "\"9\"", "at least \"64kbit\""},
      {"monthly_upload = \"1M\"", "\"1M\"", "at least \"100M\""},
      {"monthly_reset_day = 32", "32", "31"},
      {"monthly_reset_day = 0", "0", "1"},
      {"schedule = [\"mon 25:00-26:00\"]", "\"mon 25:00-26:00\"", "mon-fri 22:00-07:00"},
      {"schedule = [\"whenever\"]", "\"whenever\"", "sat,sun 00:00-24:00"},
      {"metered = \"perhaps\"", "\"perhaps\"", "true"},
  }));
  CAPTURE(text);
  const DaemonConfigResult result = load("[limits]\n" + text + "\n");
  CHECK_FALSE(result.config);
  REQUIRE(result.problems.size() == 1);
  CAPTURE(result.problems.front());
  CHECK(contains(result.problems.front(), "line 3, column"));
  CHECK(contains(result.problems.front(), value));
  CHECK(contains(result.problems.front(), remedy));
}

}  // namespace tayga
