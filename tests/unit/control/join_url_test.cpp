#include "daemon/control/join_url.hpp"

#include "tests/support/catch.hpp"

#include <string>

namespace tayga::control {
namespace {

const std::string kFingerprint = "abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrsq";

JoinUrl accepted(const std::string& text) {
  const auto result = parse_join_url(text);
  if (const auto* error = std::get_if<JoinUrlError>(&result)) FAIL(error->message);
  return std::get<JoinUrl>(result);
}

std::string refused(const std::string& text) {
  const auto result = parse_join_url(text);
  const auto* error = std::get_if<JoinUrlError>(&result);
  return error == nullptr ? "accepted" : error->message;
}

bool says(const std::string& message, const std::string& part) {
  INFO(message);
  return message.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a join URL gives host, port, fingerprint and the network id") {
  const JoinUrl url = accepted("tayga://orchestrator.example.net:7400/" + kFingerprint);
  CHECK(url.host == "orchestrator.example.net");
  CHECK(url.port == 7400);
  CHECK(format_join_url(url) == "tayga://orchestrator.example.net:7400/" + kFingerprint);
  CHECK(ByteView{url.network_id().bytes}[0] == url.fingerprint[0]);
  CHECK(ByteView{url.network_id().bytes}[7] == url.fingerprint[7]);
}

TEST_CASE("a join URL keeps its meaning through white space, addresses and capitals") {
  CHECK(accepted("  tayga://192.0.2.1:1/" + kFingerprint + "\n").host == "192.0.2.1");
  const JoinUrl v6 = accepted("tayga://[2001:db8::1]:65535/" + kFingerprint);
  CHECK(v6.host == "2001:db8::1");
  CHECK(accepted(format_join_url(v6)) == v6);
  std::string capitals = kFingerprint;
  for (char& c : capitals) c = static_cast<char>(std::toupper(c));
  CHECK(accepted("tayga://h:7400/" + capitals) == accepted("tayga://h:7400/" + kFingerprint));
}

TEST_CASE("a bad join URL names the bad part and the remedy") {
  CHECK(says(refused("https://h:7400/" + kFingerprint), "does not begin with tayga://"));
  CHECK(says(refused(""), "tayga-orchestrator init"));
  CHECK(says(refused("tayga://h:7400"), "fingerprint"));
  CHECK(says(refused("tayga://h/" + kFingerprint), "7400 by default"));
  CHECK(says(refused("tayga://[2001:db8::1]/" + kFingerprint), "7400 by default"));
  CHECK(says(refused("tayga://h:0/" + kFingerprint), "port \"0\""));
  CHECK(says(refused("tayga://h:65536/" + kFingerprint), "port \"65536\""));
  CHECK(says(refused("tayga://h:74x/" + kFingerprint), "port \"74x\""));
  CHECK(says(refused("tayga://h:/" + kFingerprint), "port \"\""));
  CHECK(says(refused("tayga://:7400/" + kFingerprint), "host \"\""));
  CHECK(says(refused("tayga://a b:7400/" + kFingerprint), "host \"a b\""));
  CHECK(says(refused("tayga://user@h:7400/" + kFingerprint), "host \"user@h\""));
  CHECK(says(refused("tayga://2001:db8::1:7400/" + kFingerprint), "brackets"));
  CHECK(says(refused("tayga://[zz]:7400/" + kFingerprint), "IPv6"));
  CHECK(says(refused("tayga://h:7400/" + kFingerprint.substr(1)), "it has 51"));
  CHECK(says(refused("tayga://h:7400/" + kFingerprint + "/"), "it has 53"));
  CHECK(says(refused("tayga://h:7400/1" + kFingerprint.substr(1)), "fingerprint \"1"));
}

TEST_CASE("a bad join URL is shown cut and without control characters") {
  const std::string message = refused("\x1b[31m" + std::string(1000, 'x'));
  CHECK(message.size() < 300);
  CHECK(message.find('\x1b') == std::string::npos);
}

}  // namespace tayga::control
