#include "orchestrator/http/api.hpp"

#include "common/http/errors.hpp"
#include "common/http/request.hpp"
#include "common/http/response_writer.hpp"
#include "orchestrator/http/json_view.hpp"

#include <optional>
#include <string_view>

namespace tayga::orch {
namespace {

using async::Task;

struct Answer {
  unsigned status = 200;
  std::string body;
  std::string content_type = "application/json";
};

Answer problem(unsigned status, std::string_view detail) {
  return {status, problem_json(status, http::reason_phrase(status), detail),
          "application/problem+json"};
}

Answer page_answer(const http::Request& request, const std::function<std::string(Page)>& render) {
  const auto page = parse_page(request.query_value("page_size"), request.query_value("page_token"));
  if (!page) return problem(400, "page_size must be 1 to 1000, page_token one that we gave");
  return {200, render(*page), "application/json"};
}

Answer readiness(const ApiSources& sources) {
  const std::string trouble = sources.trouble();
  if (!trouble.empty()) return problem(503, trouble);
  return {200, "{\"status\":\"ready\"}", "application/json"};
}

Task<Answer> balances(const ApiSources& sources, const http::Request& request) {
  const Result<ApiSources::Ledger> ledger = co_await sources.ledger();
  if (!ledger) co_return problem(503, "the ledger cannot be read: " + ledger.error().message());
  const auto render = [&ledger](Page page) {
    return balances_json(ledger->first, ledger->second, page);
  };
  co_return page_answer(request, render);
}

/// nullopt: no such resource.
Task<std::optional<Answer>> answer_get(const ApiSources& sources, const http::Request& request) {
  const std::string_view path = request.path;
  if (path == "/healthz") co_return Answer{200, "{\"status\":\"ok\"}", "application/json"};
  if (path == "/readyz") co_return readiness(sources);
  if (path == "/metrics") {
    co_return Answer{200, sources.metrics_text(), "text/plain; version=0.0.4; charset=utf-8"};
  }
  const auto world = sources.snapshot();
  if (path == "/api/v1/nodes") {
    co_return page_answer(request, [&](Page page) { return nodes_json(*world, page); });
  }
  if (path == "/api/v1/links") {
    co_return page_answer(request, [&](Page page) { return links_json(*world, page); });
  }
  if (path == "/api/v1/streams") {
    co_return page_answer(request, [&](Page page) { return streams_json(*world, page); });
  }
  if (path == "/api/v1/ledger/balances") {
    Answer answer = co_await balances(sources, request);
    co_return std::optional<Answer>{std::move(answer)};
  }
  co_return std::nullopt;
}

Task<void> answer_request(const ApiSources& sources, const http::Request& request,
                          http::ResponseWriter& response) {
  http::Headers headers;
  headers.set("Cache-Control", "no-store");
  headers.set("X-Content-Type-Options", "nosniff");
  std::optional<Answer> answer = co_await answer_get(sources, request);
  if (!answer) {
    answer = problem(404, "no resource at " + request.path);
  } else if (request.method != http::Method::get && request.method != http::Method::head) {
    answer = problem(405, "only GET and HEAD are answered here");
    headers.set("Allow", "GET, HEAD");
  }
  headers.set("Content-Type", answer->content_type);
  const std::string_view body = answer->body;
  const Result<void> sent = co_await response.send(answer->status, std::move(headers), body);
  if (!sent) co_return;  // the client is gone
}

}  // namespace

http::Handler make_api_handler(const ApiSources& sources) {
  return [&sources](http::Request& request, http::RequestBody&, http::ResponseWriter& response) {
    return answer_request(sources, request, response);
  };
}

}  // namespace tayga::orch
