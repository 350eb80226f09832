#include "tests/integration/orchestrator_process.hpp"

#include "common/crypto/ed25519.hpp"
#include "common/crypto/key_file.hpp"
#include "common/media/receipts.hpp"
#include "orchestrator/keys/network_files.hpp"
#include "orchestrator/keys/network_keys.hpp"
#include "tests/support/catch.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

using namespace tayga;
using namespace tayga::test;

namespace {

bool contains(const std::string& text, const std::string& part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

/// A loopback port that somebody listens on.
class TakenPort {
 public:
  TakenPort() {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    REQUIRE(::bind(fd_, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
    REQUIRE(::listen(fd_, 1) == 0);
    REQUIRE(::getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size) == 0);
    address_ = "127.0.0.1:" + std::to_string(ntohs(at.sin_port));
  }
  ~TakenPort() { ::close(fd_); }
  TakenPort(const TakenPort&) = delete;
  TakenPort& operator=(const TakenPort&) = delete;
  [[nodiscard]] const std::string& address() const { return address_; }

 private:
  int fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  std::string address_;
};

struct NewNetwork {
  TemporaryFolder folder;
  std::string state = folder.path() / "state";
  Finished made = run_orchestrator({"init", "--state", state, "--address", "127.0.0.1:7400"});
};

mode_t mode_of(const std::string& path) {
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  return info.st_mode & 0777U;
}

}  // namespace

TEST_CASE("init makes private keys, prints the join URL on stdout and advice on stderr") {
  const NewNetwork network;
  REQUIRE(network.made.exit_code == 0);
  CHECK(network.made.out.rfind("tayga://127.0.0.1:7400/", 0) == 0);
  CHECK(network.made.out.size() == std::string{"tayga://127.0.0.1:7400/"}.size() + 52 + 1);
  CHECK(contains(network.made.err, "root.pem"));
  CHECK(mode_of(network.state) == 0700);
  for (const char* key : {"root.pem", "ca.pem", "online.pem"}) {
    CHECK(mode_of(network.state + "/" + key) == 0600);
  }
  CHECK(run_orchestrator({"join-url", "--state", network.state}).out == network.made.out);
  const Finished other = run_orchestrator(
      {"join-url", "--state", network.state, "--address", "relay.example.net:7400"});
  CHECK(other.out.rfind("tayga://relay.example.net:7400/", 0) == 0);
}

TEST_CASE("init never replaces a network") {
  const NewNetwork network;
  const Finished again =
      run_orchestrator({"init", "--state", network.state, "--address", "127.0.0.1:7400"});
  CHECK(again.exit_code == 1);
  CHECK(contains(again.err, network.state));
  CHECK(run_orchestrator({"join-url", "--state", network.state}).out == network.made.out);
}

TEST_CASE("init refuses an address that nodes cannot reach") {
  const TemporaryFolder folder;
  for (const char* bad : {"nowhere", "host:0", "host:65536", ":7400", "::1:7400", "a b:1"}) {
    const Finished done =
        run_orchestrator({"init", "--state", folder.path() / "state", "--address", bad});
    CHECK(done.exit_code == 64);
    CHECK(contains(done.err, bad));
  }
}

TEST_CASE("serve without a network says how to make one") {
  const TemporaryFolder folder;
  const std::string state = folder.path() / "none";
  const Finished done = run_orchestrator({"serve", "--state", state});
  CHECK(done.exit_code == 78);
  CHECK(contains(done.err, "tayga-orchestrator init"));
  CHECK(contains(done.err, state));
}

TEST_CASE("a taken port ends serve with the address and the remedy") {
  const NewNetwork network;
  const TakenPort taken;
  const Finished control = run_orchestrator(
      {"serve", "--state", network.state, "--listen", taken.address(), "--http", "127.0.0.1:0"});
  CHECK(control.exit_code == 69);
  CHECK(contains(control.err, taken.address()));
  CHECK(contains(control.err, "--listen"));
  const Finished http = run_orchestrator(
      {"serve", "--state", network.state, "--listen", "127.0.0.1:0", "--http", taken.address()});
  CHECK(http.exit_code == 69);
  CHECK(contains(http.err, taken.address()));
  CHECK(contains(http.err, "--http"));
}

TEST_CASE("a broken configuration names its file, line, column and remedy") {
  const TemporaryFolder folder;
  const std::string file = folder.path() / "o.toml";
  const auto run = [&](const std::string& text) {
    std::ofstream{file} << text;
    return run_orchestrator({"serve", "--config", file, "--check-config"});
  };
  const Finished unknown = run("state_dir = \"/x\"\n[http]\nlissten = \"127.0.0.1:1\"\n");
  CHECK(unknown.exit_code == 78);
  CHECK(contains(unknown.err, file));
  CHECK(contains(unknown.err, "lissten"));
  CHECK(contains(unknown.err, "line 3"));
  CHECK(contains(unknown.err, "listen"));
  const Finished broken = run("state_dir = \n");
  CHECK(broken.exit_code == 78);
  CHECK(contains(broken.err, "line 1"));
  const Finished wrong = run("[receipts]\nsubmit_interval = \"often\"\n");
  CHECK(wrong.exit_code == 78);
  CHECK(contains(wrong.err, "often"));
  CHECK(run("[http]\nlisten = \"127.0.0.1:1\"\n").exit_code == 0);
}

TEST_CASE("flags win over the environment, which wins over the file") {
  const TemporaryFolder folder;
  const std::string file = folder.path() / "o.toml";
  std::ofstream{file} << "[http]\nlisten = \"127.0.0.1:1\"\n[control]\nlisten = \"127.0.0.1:2\"\n";
  const Finished printed =
      run_orchestrator({"serve", "--config", file, "--print-config", "--listen", "127.0.0.1:3"},
                       {{"TAYGA_HTTP_LISTEN", "127.0.0.1:4"}, {"TAYGA_CONTROL_LISTEN", "x:5"}});
  CHECK(printed.exit_code == 0);
  CHECK(contains(printed.out, "127.0.0.1:3"));
  CHECK(contains(printed.out, "127.0.0.1:4"));
  CHECK_FALSE(contains(printed.out, "127.0.0.1:1\""));
}

TEST_CASE("a key that others can read is refused with the remedy") {
  const NewNetwork network;
  const std::string key = network.state + "/online.pem";
  REQUIRE(::chmod(key.c_str(), 0644) == 0);
  const Finished done = run_orchestrator(
      {"serve", "--state", network.state, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"});
  CHECK(done.exit_code == 77);
  CHECK(contains(done.err, key));
}

TEST_CASE("an expired online key is refused until the root key renews it") {
  const TemporaryFolder folder;
  const std::string state = folder.path() / "state";
  crypto::init();
  constexpr std::int64_t kLongAgo = 1'000'000'000'000;  // 2001
  orch::init_network(state, "127.0.0.1:7400", kLongAgo);
  const std::vector<std::string> serve{"serve",       "--state", state,        "--listen",
                                       "127.0.0.1:0", "--http",  "127.0.0.1:0"};
  const Finished expired = run_orchestrator(serve);
  CHECK(expired.exit_code == 78);
  CHECK(contains(expired.err, "expired"));
  CHECK(contains(expired.err, "--renew-online-key"));

  const std::string offline = folder.path() / "root-elsewhere.pem";
  std::filesystem::rename(state + "/root.pem", offline);
  const Finished missing = run_orchestrator({"init", "--renew-online-key", "--state", state});
  CHECK(missing.exit_code == 78);
  CHECK(run_orchestrator({"init", "--renew-online-key", "--state", state, "--root-key", offline})
            .exit_code == 0);
  OrchestratorProcess process{serve};
  CHECK(process.wait_for_err("serving"));
  process.signal(SIGTERM);
  CHECK(process.wait().exit_code == 0);
}

TEST_CASE("a root key of another network cannot renew the online key") {
  const NewNetwork one;
  const NewNetwork other;
  const Finished done = run_orchestrator({"init", "--renew-online-key", "--state", one.state,
                                          "--root-key", other.state + "/root.pem"});
  CHECK(done.exit_code == 78);
  CHECK(contains(done.err, "root key"));
}

TEST_CASE("verbs without a server and misused commands have their own exit codes") {
  const TemporaryFolder folder;
  const std::string socket = folder.path() / "none.sock";
  const Finished none = run_orchestrator({"stream", "ls", "--socket", socket});
  CHECK(none.exit_code == 3);
  CHECK(contains(none.err, socket));
  const Finished unknown = run_orchestrator({"explode"});
  CHECK(unknown.exit_code == 64);
  CHECK(contains(unknown.err, "explode"));
  CHECK(run_orchestrator({"version"}).exit_code == 0);
}

TEST_CASE("the operator's verbs add, list and remove streams, and a restart keeps them") {
  RunningOrchestrator orchestrator;
  orchestrator.start();
  const Finished added = orchestrator.verb({"stream", "add", "tv", "--stripes", "4", "--json"});
  REQUIRE(added.exit_code == 0);
  CHECK(contains(added.out, "\"ingest_key\":\""));
  CHECK(contains(added.out, "/live/tv/master.m3u8"));
  CHECK(orchestrator.verb({"stream", "add", "tv"}).exit_code == 1);
  CHECK(orchestrator.verb({"stream", "add", "Bad Name"}).exit_code == 1);
  CHECK(orchestrator.verb({"stream", "add", "x", "--stripes", "33"}).exit_code == 64);
  for (const char* window : {"999ms", "11s", "0s", "soon"}) {
    const Finished refused = orchestrator.verb({"stream", "add", "x", "--window", window});
    CHECK(refused.exit_code == 64);
    CHECK(contains(refused.err, std::string{"--window '"} + window + "'"));
  }
  CHECK(orchestrator.verb({"stream", "add", "short", "--window", "1s"}).exit_code == 0);
  CHECK(orchestrator.verb({"stream", "add", "long", "--window", "10s"}).exit_code == 0);
  const Finished pulled = orchestrator.verb(
      {"stream", "add", "pulled", "--origin", "http://192.0.2.1/a.m3u8", "--json"});
  CHECK_FALSE(contains(pulled.out, "ingest_key"));
  CHECK(orchestrator.verb({"healthcheck"}).exit_code == 0);
  CHECK(orchestrator.stop(SIGTERM).exit_code == 0);

  orchestrator.start();
  const Finished listed = orchestrator.verb({"stream", "ls", "--json"});
  CHECK(contains(listed.out, "\"name\":\"tv\""));
  CHECK(contains(listed.out, "\"stripe_count\":4"));
  CHECK(contains(listed.out, "http://192.0.2.1/a.m3u8"));
  CHECK(orchestrator.verb({"stream", "rm", "tv"}).exit_code == 0);
  CHECK(orchestrator.verb({"stream", "rm", "tv"}).exit_code == 1);
  CHECK(orchestrator.stop(SIGKILL).exit_code == 128 + SIGKILL);

  orchestrator.start();
  CHECK_FALSE(contains(orchestrator.verb({"stream", "ls", "--json"}).out, "\"name\":\"tv\""));
  CHECK(orchestrator.stop(SIGINT).exit_code == 0);
}

TEST_CASE("a second orchestrator on the same state is refused") {
  RunningOrchestrator orchestrator;
  orchestrator.start();
  const Finished second = run_orchestrator({"serve", "--state", orchestrator.state(), "--listen",
                                            "127.0.0.1:0", "--http", "127.0.0.1:0"});
  CHECK(second.exit_code == 69);
  CHECK(orchestrator.verb({"healthcheck"}).exit_code == 0);
}

TEST_CASE("the HTTP API answers health, metrics, lists and problems") {
  RunningOrchestrator orchestrator;
  orchestrator.start();
  CHECK(orchestrator.get("/healthz").status == 200);
  CHECK(orchestrator.get("/readyz").status == 200);
  const auto metrics = orchestrator.get("/metrics");
  CHECK(contains(metrics.body, "tayga_orchestrator_sessions 0\n"));
  CHECK(contains(metrics.head, "text/plain; version=0.0.4"));
  CHECK(orchestrator.get("/api/v1/nodes").body == "{\"nodes\":[]}");
  CHECK(orchestrator.get("/api/v1/links").body == "{\"links\":[]}");
  CHECK(orchestrator.get("/api/v1/streams?page_size=1").status == 200);
  CHECK(contains(orchestrator.get("/api/v1/ledger/balances").body, "\"totals\""));
  CHECK(orchestrator.get("/api/v1/streams?page_size=0").status == 400);
  const auto missing = orchestrator.get("/api/v1/none");
  CHECK(missing.status == 404);
  CHECK(contains(missing.head, "application/problem+json"));
  const auto wrong = orchestrator.get("/api/v1/nodes", "POST");
  CHECK(wrong.status == 405);
  CHECK(contains(wrong.head, "Allow: GET, HEAD"));
}
