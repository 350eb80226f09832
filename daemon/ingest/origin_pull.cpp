#include "daemon/ingest/origin_pull.hpp"

#include "common/async/clock.hpp"
#include "common/log/log.hpp"

#include <utility>

namespace tayga::ingest {
namespace {

using async::Clock;

/// "HTTP 503", or what the transfer failed with.
std::string describe(const http::FetchDone& done) {
  if (done.error) return done.message.empty() ? done.error.message() : done.message;
  return "HTTP " + std::to_string(done.status);
}

}  // namespace

std::optional<std::unique_ptr<OriginPull>> OriginPull::start(
    const boost::asio::any_io_executor& executor, http::Fetcher& fetcher, PublisherPool& pool,
    std::string stream_name, std::string_view url, PullLimits limits) {
  const auto root = parse_http_url(url);
  if (!root) return std::nullopt;
  return std::unique_ptr<OriginPull>{
      new OriginPull{executor, fetcher, pool, std::move(stream_name), *root, limits}};
}

OriginPull::OriginPull(const boost::asio::any_io_executor& executor, http::Fetcher& fetcher,
                       PublisherPool& pool, std::string stream_name, const HttpUrl& root,
                       PullLimits limits)
    : fetcher_{fetcher},
      pool_{pool},
      stream_name_{std::move(stream_name)},
      plan_{root, limits, Clock::now()},
      timer_{executor} {
  pump();
}

OriginPull::~OriginPull() {
  for (const auto& [id, transfer] : transfers_) fetcher_.cancel(transfer.id);
}

void OriginPull::pump() {
  while (const auto action = plan_.poll_action()) {
    std::visit([this](const auto& what) { perform(what); }, *action);
  }
  arm();
}

void OriginPull::arm() {
  timer_.expires_at(Clock::to_steady(plan_.next_timeout().value_or(TimePoint::max())));
  timer_.async_wait([weak = std::weak_ptr{self_}](const error_code& error) {
    const auto self = weak.lock();
    if (error || !self) return;  // set anew, or gone
    (*self)->plan_.on_timeout(Clock::now());
    (*self)->pump();
  });
}

void OriginPull::perform(const PullPlan::FetchPlaylist& fetch) {
  http::FetchRequest request;
  request.url = fetch.url;
  request.timeout = 10s;
  request.max_bytes = kPlaylistSizeMax;
  const FetchId id = fetch.id;
  Transfer& transfer = transfers_[id];
  transfer.id = fetcher_.get(
      std::move(request), [this, id](ByteView bytes) { transfers_.at(id).text += as_text(bytes); },
      [this, id](const http::FetchDone& done) { on_playlist_done(id, done); });
}

void OriginPull::on_playlist_done(FetchId id, const http::FetchDone& done) {
  const std::string text = std::move(transfers_.at(id).text);
  transfers_.erase(id);
  const auto url = parse_http_url(done.url);
  if (done.ok() && url) {
    plan_.on_playlist(id, *url, text, Clock::now());
  } else {
    plan_.on_playlist_failed(id, describe(done), Clock::now());
  }
  pump();
}

void OriginPull::perform(const PullPlan::FetchObject& fetch) {
  http::FetchRequest request;
  request.url = fetch.url;
  request.max_bytes = media::kObjectSizeMax;
  const FetchId id = fetch.id;
  Transfer& transfer = transfers_[id];
  transfer.path = fetch.path;
  transfer.id = fetcher_.get(
      std::move(request), [this, id](ByteView bytes) { on_object_data(id, bytes); },
      [this, id](const http::FetchDone& done) { on_object_done(id, done); });
}

void OriginPull::on_object_data(FetchId id, ByteView bytes) {
  Transfer& transfer = transfers_.at(id);
  if (!transfer.refused.empty()) return;
  if (!transfer.upload) {
    auto upload = pool_.begin(stream_name_, transfer.path);
    if (!upload) {
      transfer.refused = upload.error().message;
      return;
    }
    transfer.upload.emplace(std::move(*upload));
    plan_.on_object_begun(id, Clock::now());
  }
  const auto taken = transfer.upload->append(bytes);
  if (!taken) transfer.refused = taken.error().message;
  pump();  // a playlist may have waited for this beginning
}

void OriginPull::on_object_done(FetchId id, const http::FetchDone& done) {
  Transfer& transfer = transfers_.at(id);
  std::string failure = transfer.refused;
  if (!done.ok()) failure = describe(done);
  if (failure.empty() && !transfer.upload) failure = "an empty file";
  if (failure.empty()) {
    const auto finished = transfer.upload->finish();
    if (!finished) failure = finished.error().message;
  }
  transfers_.erase(id);  // gives up what did not finish
  if (failure.empty()) {
    plan_.on_object_done(id, Clock::now());
  } else {
    plan_.on_object_failed(id, std::move(failure), Clock::now());
  }
  pump();
}

void OriginPull::perform(const PullPlan::LearnPlaylist& learn) {
  const auto taken = pool_.learn(stream_name_, learn.path, learn.text);
  if (!taken) complain(learn.path, taken.error().message);
}

void OriginPull::perform(const PullPlan::PublishPlaylist& publish) {
  auto upload = pool_.begin(stream_name_, publish.path);
  if (!upload) return complain(publish.path, upload.error().message);
  const auto taken = upload->append(as_bytes(publish.text));
  if (!taken) return complain(publish.path, taken.error().message);
  const auto finished = upload->finish();
  if (!finished) complain(publish.path, finished.error().message);
}

void OriginPull::perform(const PullPlan::Complaint& complaint) {
  complain(http::printable_url(complaint.url), complaint.what);
}

void OriginPull::complain(const std::string& url, const std::string& what) {
  log::at(log_limit_, log::Level::warn, "pulling from the origin failed, trying again",
          log::field("stream", stream_name_), log::field("url", url), log::field("what", what));
}

}  // namespace tayga::ingest
