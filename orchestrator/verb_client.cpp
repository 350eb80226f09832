#include "orchestrator/verb_client.hpp"

#include "common/admin/client.hpp"
#include "orchestrator/app/print_view.hpp"

#include <boost/json.hpp>

#include <array>
#include <utility>
#include <variant>

namespace tayga::orch {
namespace {

namespace json = boost::json;

constexpr Duration kVerbTimeout = 10s;
constexpr std::array<std::pair<ExitCode, std::string_view>, 4> kFailureCodes{{
    {ExitCode::usage, "usage"},
    {ExitCode::try_again, "try_again"},
    {ExitCode::degraded, "degraded"},
    {ExitCode::failed, "failed"},
}};

std::string describe(const VerbCommand& command, const error_code& error) {
  const std::string at = "'" + command.socket.string() + "'";
  if (error == admin::AdminErrc::not_running) {
    return "no orchestrator answers at " + at +
           "; start it with `tayga-orchestrator serve`, or name its socket with --socket or "
           "--state";
  }
  if (error == admin::AdminErrc::permission_denied) {
    return "no permission to use " + at + "; run this as the user that runs the orchestrator";
  }
  return "cannot ask the orchestrator at " + at + ": " + error.message();
}

}  // namespace

std::string to_failure_code(ExitCode code) {
  for (const auto& [known, word] : kFailureCodes) {
    if (known == code) return std::string{word};
  }
  return "failed";
}

ExitCode to_exit_code(std::string_view failure_code) {
  for (const auto& [code, word] : kFailureCodes) {
    if (word == failure_code) return code;
  }
  return ExitCode::failed;
}

VerbAnswer ask_orchestrator(const VerbCommand& command) {
  json::object arguments = json::parse(command.arguments).as_object();
  const Result<admin::Answer> answer =
      admin::call(command.socket.string(), command.verb, std::move(arguments), kVerbTimeout);
  if (!answer) {
    return {static_cast<ExitCode>(admin::exit_code(answer.error())),
            "tayga-orchestrator: " + describe(command, answer.error())};
  }
  if (const auto* failure = std::get_if<admin::Failure>(&*answer)) {
    return {to_exit_code(failure->code), "tayga-orchestrator: " + failure->message};
  }
  const std::string text = json::serialize(std::get<json::value>(*answer));
  return {ExitCode::ok, command.json ? text : to_human(command.verb, text)};
}

}  // namespace tayga::orch
