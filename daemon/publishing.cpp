#include "daemon/publishing.hpp"

#include "common/base/encoding.hpp"
#include "common/crypto/key_file.hpp"
#include "common/log/log.hpp"
#include "common/media/publish_claim.hpp"

#include <utility>
#include <variant>

namespace tayga {
namespace {

constexpr std::size_t kStreamNameSizeMax = 63;

/// The orchestrator checks names too; here one becomes a file name.
bool is_safe_name(const std::string& name) {
  if (name.empty() || name.size() > kStreamNameSizeMax || name.front() == '.') return false;
  return name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789._-") == std::string::npos;
}

ingest::PublisherPoolOptions pool_options(ingest::ObjectJournal* journal) {
  ingest::PublisherPoolOptions options;
  options.journal = journal;
  return options;
}

}  // namespace

Publishing::Publishing(boost::asio::any_io_executor executor, peers::RelayDriver& driver,
                       control::ControlClient& control, Options options)
    : executor_{executor},
      driver_{driver},
      control_{control},
      options_{std::move(options)},
      pool_{executor, *this, pool_options(options_.journal)} {}

Publishing::~Publishing() = default;

void Publishing::on_offer(const control::PublishOffer& offer) {
  // The control session outlives this while the daemon ends: a pull begun now would never end.
  if (stopped_) return;
  if (!is_safe_name(offer.stream_name)) {
    log::warn("offer refused: the stream's name cannot be a file name",
              log::field("stream", offer.stream_name));
    return;
  }
  auto key = stream_key(offer.stream_name);
  if (!key) return;
  ingest::StreamOffer stream;
  stream.stream.id = key->stream_id();
  stream.stream.name = offer.stream_name;
  stream.stream.stripe_count = offer.stripe_count;
  stream.stream.playout_window = offer.window;
  stream.stream.origin_url = offer.origin_url;
  stream.key = std::move(key);
  stream.ingest_key_sha256 = offer.ingest_key_hash;
  pool_.offer(std::move(stream));
  log::info("stream offered", log::field("stream", offer.stream_name),
            log::field("stripes", offer.stripe_count));
  pull_from(offer.stream_name, offer.origin_url);
}

void Publishing::pull_from(const std::string& name, const std::string& url) {
  if (const auto pull = pulls_.find(name); pull != pulls_.end()) {
    if (pull->second.url == url) return;  // offered again after a reconnect
    pulls_.erase(pull);
  }
  if (url.empty()) return;
  if (!fetcher_) fetcher_ = std::make_unique<http::Fetcher>(executor_, http::FetcherOptions{});
  auto pull = ingest::OriginPull::start(executor_, *fetcher_, pool_, name, url);
  if (!pull) {
    log::warn("the stream's origin is no http or https URL; remove the stream and add it again",
              log::field("stream", name), log::field("origin", http::printable_url(url)));
    return;
  }
  log::info("pulling from origin", log::field("stream", name),
            log::field("origin", http::printable_url(url)));
  pulls_[name] = {url, std::move(*pull)};
}

void Publishing::on_withdrawn(const std::string& name) {
  pulls_.erase(name);
  pool_.withdraw(name);
  control_.unpublish(name);
  log::info("stream withdrawn", log::field("stream", name));
}

std::shared_ptr<const crypto::SigningKey> Publishing::stream_key(const std::string& name) {
  if (const ingest::StreamOffer* known = pool_.find(name)) return known->key;
  std::error_code ec;
  std::filesystem::create_directories(options_.keys_dir, ec);
  auto key = crypto::load_or_create_signing_key(options_.keys_dir / (name + ".pem"));
  if (const auto* error = std::get_if<crypto::KeyFileError>(&key)) {
    log::error("cannot publish: the stream's key is not usable", log::field("stream", name),
               log::field("error", error->message));
    return nullptr;
  }
  return std::make_shared<const crypto::SigningKey>(std::move(std::get<crypto::SigningKey>(key)));
}

void Publishing::on_started(const relay::StreamDescriptor& stream, PublisherEpoch epoch) {
  const ingest::StreamOffer* offer = pool_.find(stream.name);
  if (!offer) return;
  Live& live = live_[stream.id];
  live = {stream.name, offer->key};
  driver_.input(
      [&](relay::Relay& relay, relay::Now now) { relay.on_publish_started(stream, now); });
  announce(live, epoch, stream.tracks);
  log::info("publishing", log::field("stream", stream.name),
            log::field("id", [&] { return short_string(stream.id); }));
}

void Publishing::on_slice(media::SignedSlice slice) {
  driver_.input(
      [&](relay::Relay& relay, relay::Now now) { relay.on_published(std::move(slice), now); });
}

void Publishing::on_tracks(const StreamId& stream, PublisherEpoch epoch,
                           const std::vector<relay::TrackInfo>& tracks) {
  if (const auto live = live_.find(stream); live != live_.end()) {
    announce(live->second, epoch, tracks);
  }
}

void Publishing::on_stopped(const StreamId& stream) {
  const auto live = live_.find(stream);
  if (live == live_.end()) return;
  control_.unpublish(live->second.name);
  log::info("publishing ended", log::field("stream", live->second.name));
  live_.erase(live);
  driver_.input(
      [&](relay::Relay& relay, relay::Now now) { relay.on_publish_stopped(stream, now); });
}

void Publishing::announce(const Live& live, PublisherEpoch epoch,
                          const std::vector<relay::TrackInfo>& tracks) {
  if (!network_) return;  // offers come from a session, which named the network first
  control::PublishAnnouncement announcement;
  announcement.stream_name = live.name;
  announcement.stream = live.key->stream_id();
  announcement.claim =
      live.key->sign(media::serialize_publish_claim(*network_, options_.self, live.name));
  announcement.epoch = epoch;
  announcement.tracks = tracks;
  if (!control_.publish(std::move(announcement))) {
    log::warn("too many streams are announced already", log::field("stream", live.name));
  }
}

std::optional<StreamId> Publishing::live_stream(const std::string& name) const {
  for (const auto& [id, live] : live_) {
    if (live.name == name) return id;
  }
  return std::nullopt;
}

std::vector<std::string> Publishing::offered() const {
  std::vector<std::string> names;
  for (const auto& status : pool_.status()) names.push_back(status.name);
  return names;
}

async::Task<void> Publishing::stop() {
  stopped_ = true;
  pulls_.clear();
  co_await pool_.stop();
}

}  // namespace tayga
