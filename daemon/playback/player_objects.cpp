// How a PlayerHandler serves segments and other files: found in any track that is followed, whole
// with ranges, or as they arrive.
#include "common/async/clock.hpp"
#include "common/http/mime.hpp"
#include "common/http/range.hpp"
#include "daemon/playback/http_fields.hpp"
#include "daemon/playback/player_handler.hpp"

#include <algorithm>
#include <utility>

namespace tayga::playback {
namespace {

using async::Clock;
using async::Task;

constexpr std::size_t kWriteSize = 64 * 1024;

std::string make_etag(TrackId track, const relay::ObjectInfo& object) {
  return "\"" + std::to_string(track.value()) + "-" + std::to_string(object.epoch.value()) + "-" +
         std::to_string(object.id.value()) + "\"";
}

/// Adds what is here from `offset` on, up to `end` and about kWriteSize bytes.
void gather(const relay::ObjectStore& store, const relay::ObjectInfo& object, std::uint64_t offset,
            std::uint64_t end, Bytes& out) {
  while (offset < end && out.size() < kWriteSize) {
    const auto run = store.read(object.epoch, object.id, offset);
    if (!run || run->bytes.empty()) return;
    const auto size = std::min<std::uint64_t>(run->bytes.size(), end - offset);
    out.insert(out.end(), run->bytes.begin(),
               run->bytes.begin() + static_cast<std::ptrdiff_t>(size));
    offset += size;
  }
}

http::Headers object_fields(TrackId track, const relay::ObjectInfo& object) {
  http::Headers headers = common_fields();
  headers.add("Content-Type", std::string{http::mime_type(object.path)});
  headers.add("ETag", make_etag(track, object));
  const bool fixed =
      object.kind == media::ObjectKind::segment || object.kind == media::ObjectKind::init;
  headers.add("Cache-Control", fixed ? "max-age=31536000, immutable" : "no-cache");
  return headers;
}

}  // namespace

std::optional<PlayerHandler::Found> PlayerHandler::find_object(Stream& stream,
                                                               const std::string& path) {
  std::optional<Found> begun;
  const auto look = [&](TrackId track) {
    const auto* objects = library_.objects(stream.id, track);
    const auto object = objects == nullptr ? std::nullopt : objects->find(path);
    if (!object || object->kind == media::ObjectKind::catalog) return false;
    if (!object->complete() && object->contiguous == 0) return false;
    begun = Found{track, *object};
    return object->complete();
  };
  if (look(kPresentationTrack)) return begun;
  const auto* catalog = stream.view.catalog();
  if (catalog == nullptr) return begun;
  for (const relay::TrackInfo& track : catalog->tracks) {
    if (look(track.id)) return begun;
  }
  return begun;
}

Task<void> PlayerHandler::serve_object(Exchange& exchange) {
  const TimePoint asked = Clock::now();
  for (;;) {
    const auto found = find_object(*exchange.stream, exchange.path);
    if (found) {
      use_track(exchange, found->track);
      if (found->object.complete()) {
        co_await send_whole(exchange, *found);
      } else {
        co_await send_growing(exchange, *found);
      }
      co_return;
    }
    // A player that comes back after a pause asks for segments of a rendition that was left.
    const auto track = exchange.stream->view.track_listing(exchange.path);
    if (!track) break;
    use_track(exchange, *track);
    const auto* objects = library_.objects(exchange.stream->id, *track);
    const auto* listing = exchange.stream->view.listing(*track);
    const bool overtaken = objects != nullptr && is_overtaken(*listing, exchange.path, *objects);
    const TimePoint until = asked + (overtaken ? options_.overtaken_max : options_.listed_max);
    if (Clock::now() >= until) break;
    const auto woken = co_await wait(exchange.stream, until);
    if (woken == async::WaitResult::cancelled) break;
  }
  co_await refuse(exchange, 404, exchange.path + " is not here: not published, or already gone");
}

Task<void> PlayerHandler::send_whole(Exchange& exchange, Found found) {
  const std::uint64_t size = *found.object.size;
  http::Headers headers = object_fields(found.track, found.object);
  headers.add("Accept-Ranges", "bytes");
  const auto known = exchange.request.headers.get("If-None-Match");
  if (known && *known == make_etag(found.track, found.object)) {
    (void)co_await exchange.answer.send(304, std::move(headers), std::string_view());
    co_return;
  }
  const auto range = http::parse_range(exchange.request.headers.get("Range"), size);
  if (!range) {
    headers.set("Content-Range", http::content_range_unsatisfied(size));
    (void)co_await exchange.answer.send(416, std::move(headers), std::string_view());
    co_return;
  }
  std::uint64_t offset = 0;
  std::uint64_t end = size;
  unsigned status = 200;
  if (*range) {
    offset = (*range)->first;
    end = (*range)->last + 1;
    status = 206;
    headers.add("Content-Range", http::content_range(**range, size));
  }
  const auto begun = co_await exchange.answer.start(status, std::move(headers), end - offset);
  if (!begun) co_return;
  const bool with_body = exchange.request.method == http::Method::get;
  while (with_body && offset < end) {
    // The object may leave the window while a slow player takes it.
    const auto* objects = library_.objects(exchange.stream->id, found.track);
    Bytes bytes;
    if (objects != nullptr) gather(*objects, found.object, offset, end, bytes);
    if (bytes.empty()) {
      ++exchange.stream->counters.truncated;
      co_return;  // unfinished: the connection is cut
    }
    const auto written = co_await exchange.answer.write(bytes);
    if (!written) co_return;
    offset += bytes.size();
    count_served(*exchange.stream, bytes.size());
  }
  (void)co_await exchange.answer.finish();
  ++exchange.stream->counters.objects;
}

/// Cut-through: what is here goes out at once, the rest as it arrives. A Range is not answered,
/// since the size is not known; a player may get 200 for it at any time (RFC 9110 section 14.2).
Task<void> PlayerHandler::send_growing(Exchange& exchange, Found found) {
  http::Headers headers = object_fields(found.track, found.object);
  const auto begun = co_await exchange.answer.start(200, std::move(headers), found.object.size);
  if (!begun) co_return;
  std::uint64_t offset = 0;
  TimePoint give_up = Clock::now() + options_.stall_max;
  while (exchange.request.method == http::Method::get) {
    const auto* objects = library_.objects(exchange.stream->id, found.track);
    const auto object =
        objects == nullptr ? std::nullopt : objects->get(found.object.epoch, found.object.id);
    Bytes bytes;
    if (object) gather(*objects, *object, offset, object->contiguous, bytes);
    if (!bytes.empty()) {
      const auto written = co_await exchange.answer.write(bytes);
      if (!written) co_return;
      offset += bytes.size();
      count_served(*exchange.stream, bytes.size());
      give_up = Clock::now() + options_.stall_max;
      continue;
    }
    if (object && object->complete() && offset == *object->size) break;
    if (object) {
      const auto woken = co_await wait(exchange.stream, give_up);
      if (woken == async::WaitResult::signalled) continue;
    }
    ++exchange.stream->counters.truncated;
    co_return;  // unfinished: the connection is cut, and the player sees that it is not whole
  }
  (void)co_await exchange.answer.finish();
  ++exchange.stream->counters.objects;
}

}  // namespace tayga::playback
