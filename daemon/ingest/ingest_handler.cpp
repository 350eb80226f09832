#include "daemon/ingest/ingest_handler.hpp"

#include "common/crypto/hash.hpp"
#include "common/http/headers.hpp"
#include "common/http/mime.hpp"
#include "common/log/log.hpp"

#include <utility>

namespace tayga::ingest {
namespace {

using async::Task;

constexpr std::string_view kPrefix = "/ingest/";
constexpr std::size_t kReadSize = 16 * 1024;

/// The part before the next '/', taken off the front of `rest`; nullopt when no '/' follows.
std::optional<std::string_view> take_part(std::string_view& rest) noexcept {
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos || slash == 0) return std::nullopt;
  const std::string_view part = rest.substr(0, slash);
  rest.remove_prefix(slash + 1);
  return part;
}

bool key_matches(const StreamOffer& offer, std::string_view key) noexcept {
  if (!offer.ingest_key_sha256) return false;
  return crypto::equal_constant_time(crypto::sha256(as_bytes(key)), *offer.ingest_key_sha256);
}

Task<void> answer_retry(http::ResponseWriter& answer) {
  http::Headers headers{{"Content-Type", "text/plain; charset=utf-8"}, {"Retry-After", "2"}};
  const std::string_view text =
      "this gateway has not heard from its orchestrator yet which streams it may publish; retry\n";
  (void)co_await answer.send(503, std::move(headers), text);
}

}  // namespace

std::optional<IngestTarget> parse_ingest_target(std::string_view path,
                                                std::optional<std::string_view> bearer,
                                                const PublisherPool& pool) {
  if (!path.starts_with(kPrefix)) return std::nullopt;
  path.remove_prefix(kPrefix.size());
  const auto first = take_part(path);
  if (!first) return std::nullopt;
  if (bearer && pool.find(*first) != nullptr) return IngestTarget{*bearer, *first, path};
  const std::string_view rest = path;
  const auto second = take_part(path);
  if (second) return IngestTarget{*first, *second, path};
  if (bearer) return IngestTarget{*bearer, *first, rest};
  return std::nullopt;
}

Task<void> IngestHandler::handle(http::Request& request, http::RequestBody& body,
                                 http::ResponseWriter& answer) {
  const auto target = parse_ingest_target(request.path, http::bearer_token(request.headers), pool_);
  if (!target || target->path.empty()) {
    co_await answer.send_text(
        404, "upload to /ingest/KEY/STREAM/FILE, or to /ingest/STREAM/FILE with the key as Bearer");
    co_return;
  }
  const StreamOffer* const offer = pool_.find(target->name);
  if (offer == nullptr && !pool_.offers_known()) {
    co_await answer_retry(answer);
    co_return;
  }
  const std::string name{target->name};
  if (offer == nullptr) {
    co_await answer.send_text(404, "this gateway publishes no stream \"" + name.substr(0, 64) +
                                       "\"; add it at the orchestrator: stream add");
    co_return;
  }
  if (!key_matches(*offer, target->key)) {
    ++counters_.wrong_keys;
    static log::SiteLimit limit{5, 60s};
    log::at(limit, log::Level::warn, "an upload came with a wrong key", log::field("stream", name));
    co_await answer.send_text(
        403, "wrong ingest key for the stream " + name + "; use the one that stream add printed");
    co_return;
  }
  std::string path{target->path};
  switch (request.method) {
    case http::Method::put:
    case http::Method::post:
      co_await upload(name, std::move(path), body, answer);
      co_return;
    case http::Method::delete_: {
      // Viewers are behind the encoder: what it deletes may be what they play next.
      pool_.remove(name, path);
      http::Headers headers;
      (void)co_await answer.send(204, std::move(headers), std::string_view());
      co_return;
    }
    case http::Method::get:
    case http::Method::head:
      co_await read_back(name, std::move(path), answer);
      co_return;
    case http::Method::options:
    case http::Method::patch:
      break;
  }
  http::Headers headers{{"Allow", "PUT, POST, DELETE, GET, HEAD"}};
  (void)co_await answer.send(405, std::move(headers), std::string_view());
}

Task<void> IngestHandler::upload(std::string name, std::string path, http::RequestBody& body,
                                 http::ResponseWriter& answer) {
  if (body.content_length().value_or(0) > object_size_max_) {
    IngestFailure failure{IngestErrc::too_large,
                          path + " announces " + std::to_string(*body.content_length()) +
                              " bytes, more than " + std::to_string(object_size_max_) +
                              "; make segments shorter or the bitrate lower"};
    co_await refuse(std::move(name), std::move(failure), answer);
    co_return;
  }
  body.set_size_max(object_size_max_ + kReadSize);  // the publisher's own limit comes first
  auto upload = pool_.begin(name, path);
  if (!upload) {
    co_await refuse(std::move(name), upload.error(), answer);
    co_return;
  }
  ++counters_.uploads;
  Bytes buffer(kReadSize);
  for (;;) {
    const auto size = co_await body.read_some(buffer);
    if (!size) {  // the server answers, if anybody still listens; the upload is given up
      ++counters_.uploads_broken;
      log::debug("an upload broke off", log::field("stream", name), log::field("path", path),
                 log::field("error", size.error()));
      co_return;
    }
    if (*size == 0) break;
    counters_.bytes += *size;
    const auto taken = upload->append(ByteView{buffer}.first(*size));
    if (!taken) {
      co_await refuse(std::move(name), taken.error(), answer);
      co_return;
    }
  }
  const auto finished = upload->finish();
  if (!finished) {
    co_await refuse(std::move(name), finished.error(), answer);
    co_return;
  }
  http::Headers headers;
  (void)co_await answer.send(201, std::move(headers), std::string_view());
}

Task<void> IngestHandler::refuse(std::string name, IngestFailure failure,
                                 http::ResponseWriter& answer) {
  ++counters_.uploads_refused;
  static log::SiteLimit limit{10, 60s};
  log::at(limit, log::Level::warn, "an upload was refused", log::field("stream", name),
          log::field("reason", failure.message));
  (void)co_await answer.send_text(to_http_status(failure.code), failure.message);
}

Task<void> IngestHandler::read_back(std::string name, std::string path,
                                    http::ResponseWriter& answer) {
  const std::string* const playlist = pool_.playlist(name, path);
  if (playlist == nullptr) {
    (void)co_await answer.send_text(404, "no playlist " + path + " was uploaded yet");
    co_return;
  }
  const std::string text = *playlist;  // a new upload may replace it while we write
  http::Headers headers{{"Content-Type", std::string{http::mime_type(path)}},
                        {"Cache-Control", "no-cache"}};
  (void)co_await answer.send(200, std::move(headers), std::string_view(text));
}

}  // namespace tayga::ingest
