#include "common/config/reader.hpp"

#include "tests/support/catch.hpp"

using namespace tayga;
using namespace tayga::config;
using Strings = std::vector<std::string>;

namespace {

struct Settings {
  std::string log_level;
  std::uint64_t cap = 0;
  std::uint64_t quota = 0;
  std::int64_t port = 0;
  Duration idle{};
  bool metered = false;
  Strings origins;
  Strings streams;
  std::string token;
  friend bool operator==(const Settings&, const Settings&) = default;
};

SecretFile no_secret_files(const std::string&) {
  return SecretFile{{}, "must not be read"};
}

/// A program's schema, as daemons write it.
Settings read(Reader& reader) {
  Settings out;
  Section root = reader.root();
  out.log_level = root.choice("log_level", "info", {"debug", "info", "warn"});
  Section upload = root.section("upload");
  out.cap = upload.rate_bps("cap", 10'000'000, {1'000, 1'000'000'000});
  out.quota = upload.size_bytes("quota", 500'000'000'000);
  out.metered = upload.boolean("metered", false);
  Section http = root.section("http");
  out.port = http.integer("port", 8780, {1, 65535});
  out.idle = http.duration("idle", 60s, {1s, 1h});
  out.origins = http.strings("origins", {"*"});
  out.token = http.secret("token").value;
  for (Section& stream : root.tables("stream")) {
    out.streams.push_back(stream.required_string("name", "give the stream a name"));
  }
  return out;
}

struct Outcome {
  Settings settings;
  Strings problems;
};

Outcome read_file(std::string text) {
  Inputs inputs;
  inputs.file_name = "/etc/t.toml";
  inputs.file_text = std::move(text);
  Reader reader{std::move(inputs), no_secret_files};
  Outcome out;
  out.settings = read(reader);
  out.problems = reader.finish();
  return out;
}

Strings problems_of(std::string text) {
  return read_file(std::move(text)).problems;
}

}  // namespace

TEST_CASE("without a file the defaults hold") {
  const Outcome outcome = read_file("");
  CHECK(outcome.problems == Strings{});
  CHECK(outcome.settings ==
        Settings{"info", 10'000'000, 500'000'000'000, 8780, 60s, false, {"*"}, {}, ""});
}

TEST_CASE("a file sets every kind of value") {
  const Outcome outcome = read_file(R"(
log_level = "debug"
[upload]
cap = "2.5mbit"
quota = "64MiB"
metered = true
[http]
port = 80
idle = "90s"
origins = ["a", "b"]
token = "t"
[[stream]]
name = "one"
[[stream]]
name = "two"
)");
  CHECK(outcome.problems == Strings{});
  CHECK(outcome.settings ==
        Settings{"debug", 2'500'000, 64ULL << 20U, 80, 90s, true, {"a", "b"}, {"one", "two"}, "t"});
}

TEST_CASE("an unknown key is an error with its place and the nearest valid key") {
  CHECK(problems_of("\n\n\nlog_lvel = \"info\"\n") ==
        Strings{"/etc/t.toml: unknown key 'log_lvel' at line 4, column 1; did you mean "
                "'log_level'?"});
  CHECK(problems_of("[upload]\n  cpa = \"1mbit\"\n") ==
        Strings{"/etc/t.toml: unknown key 'cpa' in [upload] at line 2, column 3; did you mean "
                "'cap'?"});
  CHECK(problems_of("[upload]\nzebra = 1\n") ==
        Strings{"/etc/t.toml: unknown key 'zebra' in [upload] at line 2, column 1; known here: "
                "'cap', 'quota', 'metered'"});
  CHECK(problems_of("[[stream]]\nname = \"a\"\n[[stream]]\nname = \"b\"\nnmae = \"c\"\n") ==
        Strings{"/etc/t.toml: unknown key 'nmae' in [[stream]] at line 5, column 1; did you mean "
                "'name'?"});
}

TEST_CASE("an unknown section is an error with the nearest valid one") {
  CHECK(problems_of("[uplaod]\ncap = \"1mbit\"\n") ==
        Strings{"/etc/t.toml: unknown section [uplaod] at line 1, column 2; did you mean "
                "'upload'?"});
  CHECK(problems_of("[[streams]]\nname = \"a\"\n") ==
        Strings{"/etc/t.toml: unknown section [[streams]] at line 1, column 3; did you mean "
                "'stream'?"});
}

TEST_CASE("a value that cannot be used is an error with its place, the value and the remedy") {
  CHECK(problems_of("[upload]\ncap = \"10mbat\"\n") ==
        Strings{"/etc/t.toml: upload.cap at line 2, column 7 is \"10mbat\"; write a rate such as "
                "\"10mbit\""});
  CHECK(problems_of("[upload]\ncap = 10\n") ==
        Strings{"/etc/t.toml: upload.cap at line 2, column 7 is 10; write a rate such as "
                "\"10mbit\""});
  CHECK(problems_of("[upload]\ncap = \"2gbit\"\n") ==
        Strings{"/etc/t.toml: upload.cap at line 2, column 7 is \"2gbit\"; write a value from "
                "\"1kbit\" to \"1gbit\""});
  CHECK(problems_of("[upload]\nquota = \"many\"\n") ==
        Strings{"/etc/t.toml: upload.quota at line 2, column 9 is \"many\"; write a size such as "
                "\"500G\" or \"64MiB\""});
  CHECK(problems_of("[http]\nidle = \"30\"\n") ==
        Strings{"/etc/t.toml: http.idle at line 2, column 8 is \"30\"; write a time such as "
                "\"30s\" or \"250ms\""});
  CHECK(problems_of("[http]\nport = 65536\n") ==
        Strings{"/etc/t.toml: http.port at line 2, column 8 is 65536; write a whole number from 1 "
                "to 65535"});
  CHECK(problems_of("[http]\nport = 1.5\n") ==
        Strings{"/etc/t.toml: http.port at line 2, column 8 is a fraction; write a whole number "
                "from 1 to 65535"});
  CHECK(problems_of("[upload]\nmetered = \"yes\"\n") ==
        Strings{"/etc/t.toml: upload.metered at line 2, column 11 is \"yes\"; write true or "
                "false"});
  CHECK(problems_of("[http]\norigins = [1]\n") ==
        Strings{"/etc/t.toml: http.origins at line 2, column 11 is a list; write a list of "
                "strings such as [\"a\", \"b\"]"});
  CHECK(problems_of("log_level = \"wran\"\n") ==
        Strings{"/etc/t.toml: log_level at line 1, column 13 is \"wran\"; write \"debug\", "
                "\"info\" or \"warn\"; did you mean \"warn\"?"});
  CHECK(problems_of("upload = 1\n") ==
        Strings{"/etc/t.toml: upload at line 1, column 10 is 1; write it as a section: [upload]"});
  CHECK(problems_of("stream = [1]\n") ==
        Strings{"/etc/t.toml: stream at line 1, column 10 is a list; write a section [[stream]] "
                "for each"});
}

TEST_CASE("all problems are reported, in the order of the file") {
  CHECK(problems_of("logg = 1\n[http]\nport = 0\n[[stream]]\n[upload]\ncap = true\nx = 1\n") ==
        Strings{"/etc/t.toml: unknown key 'logg' at line 1, column 1; known here: 'log_level'",
                "/etc/t.toml: http.port at line 3, column 8 is 0; write a whole number from 1 to "
                "65535",
                "/etc/t.toml: upload.cap at line 6, column 7 is true; write a rate such as "
                "\"10mbit\"",
                "/etc/t.toml: unknown key 'x' in [upload] at line 7, column 1; known here: 'cap', "
                "'quota', 'metered'",
                "/etc/t.toml: stream[0].name is missing; give the stream a name"});
}

TEST_CASE("a file that is not TOML gives the one line that matters") {
  const Strings problems = problems_of("[http]\nport = = 1\n");
  REQUIRE(problems.size() == 1);
  CHECK(problems.front().find("/etc/t.toml: line 2, column 8: ") == 0);
}

TEST_CASE("a flag wins over a variable, a variable over the file, the file over the default") {
  Inputs inputs;
  inputs.file_name = "t.toml";
  inputs.file_text = "[upload]\ncap = \"1mbit\"\nquota = \"1G\"\n[http]\nport = 1\n";
  inputs.environment = {{"TAYGA_UPLOAD_CAP", "2mbit"},   {"TAYGA_HTTP_PORT", "2"},
                        {"TAYGA_HTTP_ORIGINS", "a, b,"}, {"TAYGA_UPLOAD_METERED", "true"},
                        {"TAYGA_HTTP_TOKEN", "t"},       {"PATH", "/bin"}};
  inputs.flags = {{"http.port", "3"}};
  Reader reader{inputs, no_secret_files};
  const Settings settings = read(reader);
  CHECK(reader.finish() == Strings{});
  CHECK(reader.warnings().empty());
  CHECK(settings == Settings{"info", 2'000'000, 1'000'000'000, 3, 60s, true, {"a", "b"}, {}, "t"});
}

TEST_CASE(
    "a bad variable or flag is named, an unknown flag is an error, an unknown variable a warning") {
  Inputs inputs;
  inputs.environment = {{"TAYGA_UPLOAD_CAP", "fast"}, {"TAYGA_HTTP_PROT", "1"}};
  inputs.flags = {{"http.port", "x"}, {"http.prot", "1"}};
  Reader reader{inputs, no_secret_files};
  (void)read(reader);
  CHECK(reader.finish() ==
        Strings{"environment variable TAYGA_UPLOAD_CAP is \"fast\"; write a rate such as "
                "\"10mbit\"",
                "flag http.port is \"x\"; write a whole number from 1 to 65535",
                "unknown flag http.prot; did you mean http.port?"});
  CHECK(reader.warnings() ==
        Strings{"environment variable TAYGA_HTTP_PROT sets nothing; did you mean "
                "TAYGA_HTTP_PORT?"});
}

TEST_CASE("a secret comes from its key or from the file its twin names, never from both") {
  std::string asked;
  const auto read_secret = [&](const std::string& path) {
    asked = path;
    return path.ends_with("bad") ? SecretFile{{}, "is empty"} : SecretFile{"from file", {}};
  };
  const auto run = [&](std::string text, std::map<std::string, std::string> environment,
                       Strings& problems) {
    Inputs inputs;
    inputs.file_name = "/etc/t.toml";
    inputs.file_text = std::move(text);
    inputs.environment = std::move(environment);
    Reader reader{inputs, read_secret};
    const std::string value = read(reader).token;
    problems = reader.finish();
    return value;
  };
  Strings problems;
  CHECK(run("[http]\ntoken_file = \"key\"\n", {}, problems) == "from file");
  CHECK(asked == "/etc/key");
  CHECK(problems.empty());
  CHECK(run("[http]\ntoken_file = \"/run/key\"\n", {}, problems) == "from file");
  CHECK(asked == "/run/key");
  CHECK(run("[http]\ntoken_file = \"key\"\n", {{"TAYGA_HTTP_TOKEN", "v"}}, problems) == "v");
  CHECK(problems.empty());
  CHECK(run("[http]\ntoken = \"v\"\n", {{"TAYGA_HTTP_TOKEN_FILE", "key"}}, problems) ==
        "from file");
  CHECK(asked == "key");
  CHECK(run("[http]\ntoken = \"v\"\ntoken_file = \"key\"\n", {}, problems).empty());
  CHECK(problems ==
        Strings{"/etc/t.toml: http.token at line 2, column 9 and token_file are both set; keep one "
                "of them"});
  CHECK(run("[http]\ntoken_file = \"bad\"\n", {}, problems).empty());
  CHECK(problems ==
        Strings{"/etc/t.toml: http.token_file at line 2, column 14: file \"bad\" is empty"});
  CHECK(run("[http]\ntoken = 1234\n", {}, problems).empty());
  CHECK(problems == Strings{"/etc/t.toml: http.token at line 2, column 9 is not a string; write it "
                            "in double quotes"});
}

TEST_CASE("a program can reject a value by its own rule") {
  Inputs inputs;
  inputs.file_name = "t.toml";
  inputs.file_text = "[http]\nlisten = \"here\"\n";
  Reader reader{inputs, no_secret_files};
  Section http = reader.root().section("http");
  CHECK(http.string("listen", "") == "here");
  CHECK(http.is_set("listen"));
  CHECK_FALSE(http.is_set("other"));
  http.reject("listen", "write ADDRESS:PORT");
  CHECK(reader.finish() ==
        Strings{"t.toml: http.listen at line 2, column 10 is \"here\"; write ADDRESS:PORT"});
}

TEST_CASE("the effective configuration is printed as TOML with its sources and without secrets") {
  Inputs inputs;
  inputs.file_name = "t.toml";
  inputs.file_text =
      "[upload]\ncap = \"1000kbit\"\n[http]\ntoken = \"s3cret\"\n[[stream]]\nname = \"a\"\n";
  inputs.environment = {{"TAYGA_LOG_LEVEL", "warn"}};
  inputs.flags = {{"http.port", "3"}};
  Reader reader{inputs, no_secret_files};
  (void)read(reader);
  CHECK(reader.finish() == Strings{});
  const std::string expected = R"toml(log_level = "warn"  # TAYGA_LOG_LEVEL

[upload]
cap = "1mbit"  # t.toml, line 2
quota = "500G"  # default
metered = false  # default

[http]
port = 3  # flag
idle = "1m"  # default
origins = ["*"]  # default
token = "(hidden)"  # t.toml, line 4
# token_file is not set

[[stream]]
name = "a"  # t.toml, line 6
)toml";
  CHECK(reader.print() == expected);
  CHECK(problems_of(expected) == Strings{});
}

TEST_CASE("keys map to variable names") {
  CHECK(environment_name("log_level") == "TAYGA_LOG_LEVEL");
  CHECK(environment_name("upload.cap") == "TAYGA_UPLOAD_CAP");
}
