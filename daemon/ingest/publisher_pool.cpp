#include "daemon/ingest/publisher_pool.hpp"

#include "common/async/clock.hpp"
#include "common/async/event.hpp"
#include "common/base/check.hpp"
#include "common/log/log.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace tayga::ingest {
namespace {

using async::Clock;

relay::Now now() {
  return {Clock::now(), Clock::wall_now()};
}

void add(Publisher::Counters& sum, const Publisher::Counters& more) {
  sum.objects += more.objects;
  sum.bytes += more.bytes;
  sum.aborted += more.aborted;
  sum.playlists_refused += more.playlists_refused;
  sum.unlisted_dropped += more.unlisted_dropped;
}

}  // namespace

/// A publisher from its first upload to its end; kept alive by its driver and by open uploads.
struct PublisherPool::Run {
  Run(const boost::asio::any_io_executor& executor, PublishTarget& target,
      std::shared_ptr<const crypto::SigningKey> signing_key, Publisher::Options options)
      : name{options.stream.name},
        epoch{options.epoch},
        key{std::move(signing_key)},
        publisher{*key, target, std::move(options)},
        earlier{executor, async::Event::Reset::automatic} {}

  /// Call after every input: the driver sleeps until a time that may have come nearer.
  void rearm() {
    const auto due = publisher.next_timeout();
    if (ended || (due && *due < armed)) earlier.set();
  }
  void end() {
    if (std::exchange(ended, true)) return;
    publisher.stop();
    earlier.set();
    log::info("a stream ended", log::field("stream", name));
  }
  void warn_of_unlisted() {
    const std::uint64_t dropped = publisher.counters().unlisted_dropped;
    if (std::exchange(unlisted_seen, dropped) == dropped) return;
    static log::SiteLimit limit{5, 60s};
    log::at(limit, log::Level::warn, "media was dropped: no media playlist lists it",
            log::field("stream", name), log::field("path", publisher.last_unlisted()));
  }

  std::string name;
  PublisherEpoch epoch;
  std::shared_ptr<const crypto::SigningKey> key;
  Publisher publisher;
  async::Event earlier;
  TimePoint armed = TimePoint::max();
  bool ended = false;
  std::uint64_t unlisted_seen = 0;
};

PublisherPool::Upload::~Upload() {
  if (!run_) return;  // finished, or moved from
  run_->publisher.abort(id_, now());
  run_->rearm();
}

IngestResult<void> PublisherPool::Upload::append(ByteView bytes) {
  auto taken = run_->publisher.append(id_, bytes, now());
  run_->rearm();
  return taken;
}

IngestResult<void> PublisherPool::Upload::finish() {
  // From here on it is the publisher's: media that waits for its playlist must outlive this.
  const auto run = std::exchange(run_, nullptr);
  auto taken = run->publisher.finish(id_, now());
  run->rearm();
  return taken;
}

PublisherPool::PublisherPool(boost::asio::any_io_executor executor, PublishTarget& target,
                             PublisherPoolOptions options)
    : executor_{executor},
      target_{target},
      options_{std::move(options)},
      drivers_{executor, "publishers", kRunsMax} {}

PublisherPool::~PublisherPool() = default;

void PublisherPool::offer(StreamOffer offer) {
  TAYGA_CHECK(offer.key);
  offer.stream.id = offer.key->stream_id();
  Stream& stream = streams_[offer.stream.name];
  const bool same = stream.offer.key && stream.offer.stream.id == offer.stream.id &&
                    stream.offer.stream.stripe_count == offer.stream.stripe_count;
  if (!same) end_run(stream);
  stream.offer = std::move(offer);
}

void PublisherPool::withdraw(const std::string& name) {
  const auto stream = streams_.find(name);
  if (stream == streams_.end()) return;
  end_run(stream->second);
  streams_.erase(stream);
}

const StreamOffer* PublisherPool::find(std::string_view name) const {
  const auto stream = streams_.find(name);
  return stream == streams_.end() ? nullptr : &stream->second.offer;
}

void PublisherPool::end_run(Stream& stream) {
  if (!stream.run) return;
  stream.run->end();
  add(stream.counters, stream.run->publisher.counters());
  stream.run.reset();
}

std::shared_ptr<PublisherPool::Run> PublisherPool::ensure_run(Stream& stream) {
  if (stream.run && !stream.run->ended) return stream.run;
  end_run(stream);
  const auto unix_s =
      std::chrono::duration_cast<std::chrono::seconds>(Clock::wall_now().time_since_epoch());
  const PublisherEpoch epoch = std::max(PublisherEpoch{static_cast<std::uint32_t>(unix_s.count())},
                                        stream.last_epoch.next());
  stream.last_epoch = epoch;
  Publisher::Options options;
  options.stream = stream.offer.stream;
  options.epoch = epoch;
  options.limits = options_.limits;
  if (options_.journal != nullptr) {
    options.on_object = [journal = options_.journal, name = stream.offer.stream.name](
                            const PublishedObject& object) { journal->published(name, object); };
  }
  auto run = std::make_shared<Run>(executor_, target_, stream.offer.key, std::move(options));
  if (!drivers_.spawn(drive(run, options_.idle_max))) return nullptr;
  stream.run = run;
  log::info("a stream begins", log::field("stream", stream.offer.stream.name),
            log::field("epoch", epoch.value()));
  return run;
}

/// Gives the publisher its time, and ends it when nobody uploads any more.
async::Task<void> PublisherPool::drive(std::shared_ptr<Run> run, Duration idle_max) {
  const TimePoint began = Clock::now();
  while (!run->ended) {
    const TimePoint idle_at = std::max(began, run->publisher.last_activity()) + idle_max;
    run->armed = std::min(run->publisher.next_timeout().value_or(TimePoint::max()), idle_at);
    const auto woken = co_await run->earlier.wait(run->armed);
    if (woken == async::WaitResult::cancelled) break;
    run->publisher.on_timeout(now());
    run->warn_of_unlisted();
    if (woken == async::WaitResult::deadline && Clock::now() >= idle_at &&
        run->publisher.last_activity() + idle_max <= Clock::now()) {
      break;
    }
  }
  run->end();
}

IngestResult<PublisherPool::Upload> PublisherPool::begin(const std::string& name,
                                                         std::string path) {
  const auto stream = streams_.find(name);
  const auto run = stream == streams_.end() ? nullptr : ensure_run(stream->second);
  if (!run) return IngestFailure{IngestErrc::stopped, "the stream " + name + " is not offered"};
  const auto id = run->publisher.begin(std::move(path), now());
  run->rearm();
  if (!id) return id.error();
  return Upload{run, *id};
}

IngestResult<void> PublisherPool::learn(const std::string& name, const std::string& path,
                                        std::string_view text) {
  const auto stream = streams_.find(name);
  const auto run = stream == streams_.end() ? nullptr : ensure_run(stream->second);
  if (!run) return IngestFailure{IngestErrc::stopped, "the stream " + name + " is not offered"};
  auto taken = run->publisher.learn(path, text, now());
  run->rearm();
  return taken;
}

void PublisherPool::remove(const std::string& name, std::string_view path) {
  const auto stream = streams_.find(name);
  if (stream == streams_.end() || !stream->second.run) return;
  stream->second.run->publisher.remove(path);
}

const std::string* PublisherPool::playlist(std::string_view name, std::string_view path) const {
  const auto stream = streams_.find(name);
  if (stream == streams_.end() || !stream->second.run) return nullptr;
  return stream->second.run->publisher.playlist(path);
}

std::vector<PublisherPool::Status> PublisherPool::status() const {
  std::vector<Status> list;
  for (const auto& [name, stream] : streams_) {
    Status status;
    status.name = name;
    status.live = stream.run && !stream.run->ended;
    status.counters = stream.counters;
    if (stream.run) {
      status.epoch = stream.run->epoch;
      status.tracks = stream.run->publisher.tracks();
      add(status.counters, stream.run->publisher.counters());
    }
    list.push_back(std::move(status));
  }
  return list;
}

async::Task<void> PublisherPool::stop() {
  for (auto& [name, stream] : streams_) end_run(stream);
  drivers_.cancel();
  co_await drivers_.join();
}

}  // namespace tayga::ingest
