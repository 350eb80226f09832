#include "orchestrator/admin_endpoint.hpp"

#include "common/admin/errors.hpp"
#include "orchestrator/verb_client.hpp"

#include <boost/json.hpp>

#include <string>
#include <utility>

namespace tayga::orch {
namespace {

namespace json = boost::json;

async::Task<admin::Answer> answer(AdminVerbs& verbs, std::string command, std::string arguments) {
  VerbReply reply = co_await verbs.run(std::move(command), std::move(arguments));
  if (reply.exit_code == ExitCode::ok) co_return admin::success(json::parse(reply.text));
  admin::Failure failure;
  failure.code = to_failure_code(reply.exit_code);
  failure.message = std::move(reply.text);
  co_return failure;
}

admin::Handler make_handler(AdminVerbs& verbs) {
  return [&verbs](std::string command, json::object arguments) {
    return answer(verbs, std::move(command), json::serialize(arguments));
  };
}

}  // namespace

AdminEndpoint::AdminEndpoint(const boost::asio::any_io_executor& executor,
                             std::filesystem::path socket, AdminVerbs& verbs)
    : socket_{std::move(socket)}, server_{executor, {}, make_handler(verbs)} {}

void AdminEndpoint::listen() {
  const Result<void> bound = server_.listen(socket_.string());
  if (bound) return;
  const std::string at = "cannot open the administrators' socket '" + socket_.string() + "': ";
  if (bound.error() == admin::AdminErrc::already_running) {
    throw StartupError{ExitCode::unavailable,
                       at + "an orchestrator runs already with this state; stop it first"};
  }
  throw StartupError{ExitCode::failed,
                     at + bound.error().message() + "; set another path with --socket"};
}

async::Task<void> AdminEndpoint::stop() {
  return server_.stop();
}

}  // namespace tayga::orch
