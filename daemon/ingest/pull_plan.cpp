#include "daemon/ingest/pull_plan.hpp"

#include <algorithm>
#include <utility>

namespace tayga::ingest {

PullPlan::PullPlan(const HttpUrl& root, PullLimits limits, TimePoint now)
    : paths_{root}, limits_{limits} {
  add_source(root, paths_.root_path(), now);
  on_timeout(now);
}

void PullPlan::add_source(const HttpUrl& url, std::string path, TimePoint now) {
  Source source;
  source.url = url;
  source.path = std::move(path);
  source.next_poll = now;
  sources_.push_back(std::move(source));
}

PullPlan::Source* PullPlan::find_source(FetchId id) {
  const auto found = std::ranges::find(sources_, id, &Source::in_flight);
  if (found == sources_.end()) return nullptr;
  found->in_flight.reset();
  return &*found;
}

void PullPlan::on_playlist(FetchId id, const HttpUrl& url, std::string_view text, TimePoint now) {
  Source* const found = find_source(id);
  if (found == nullptr) return;
  const auto playlist = parse_playlist(text);
  if (!playlist) {
    return retry_later(*found, "not an HLS playlist: " + to_string(playlist.error()), now);
  }
  if (found == &sources_.front()) paths_.rebase(url);
  const auto translated = paths_.translate(found->path, url, text, *playlist);
  if (const auto* media = std::get_if<MediaPlaylist>(&playlist->body)) {
    if (media->byte_ranges) {
      return retry_later(*found,
                         "the playlist uses byte ranges, which cannot be pulled; have the packager "
                         "write one file per segment",
                         now);
    }
    found->failures = 0;
    const bool changed = found->text != text;
    found->text = text;
    const Duration target = std::max(media->target_duration, limits_.poll_min);
    found->next_poll = now + (changed ? target : std::max(target / 2, limits_.poll_min));
    if (media->ended) found->next_poll = now + std::max(target, limits_.ended_poll);
    if (changed) take_media(*found, *media, translated, now);
    return start_fetches(now);
  }
  if (found != &sources_.front()) {
    return retry_later(*found, "a master playlist where a media playlist was expected", now);
  }
  found->failures = 0;
  found->next_poll = TimePoint::max();  // its variants are polled from now on
  take_master(*found, translated);
  for (const PullPaths::Resource& resource : translated.resources) {
    const bool list = resource.kind == UriKind::variant || resource.kind == UriKind::rendition;
    const bool known = std::ranges::find(sources_, resource.path, &Source::path) != sources_.end();
    if (!list || known || sources_.size() == limits_.playlists_max) continue;
    add_source(resource.url, resource.path, now);
  }
  on_timeout(now);
}

void PullPlan::take_master(const Source& source, PullPaths::Translated translated) {
  actions_.push_back(PublishPlaylist{source.path, std::move(translated.text)});
}

void PullPlan::take_media(Source& source, const MediaPlaylist& playlist,
                          const PullPaths::Translated& translated, TimePoint now) {
  if (source.publish) {  // the version before still waits: it goes first
    actions_.push_back(std::move(*source.publish));
    source.awaited.clear();
  }
  actions_.push_back(LearnPlaylist{source.path, translated.text});
  queue_new(source, playlist, translated, now);
  source.publish = PublishPlaylist{source.path, translated.text};
  source.publish_deadline = now + std::max(playlist.target_duration, limits_.poll_min);
  if (!source.awaited.empty()) return;
  actions_.push_back(std::move(*source.publish));
  source.publish.reset();
}

void PullPlan::queue_new(Source& source, const MediaPlaylist& playlist,
                         const PullPaths::Translated& translated, TimePoint now) {
  const std::uint64_t first = playlist.media_sequence;
  const std::uint64_t end = first + playlist.segments.size();
  const std::uint64_t edge =
      end - std::min<std::uint64_t>(limits_.edge_segments, playlist.segments.size());
  if (!source.next_sequence) source.next_sequence = edge;
  if (end < *source.next_sequence) {  // the origin began to count anew
    source.next_sequence = edge;
    source.inits.clear();
  }
  if (first > *source.next_sequence) {
    counters_.gaps += first - *source.next_sequence;
    source.next_sequence = first;
  }
  std::set<std::string> inits;
  std::uint64_t sequence = first;
  for (const PullPaths::Resource& resource : translated.resources) {
    if (resource.kind == UriKind::map) {
      const bool known = source.inits.contains(resource.path) || inits.contains(resource.path);
      inits.insert(resource.path);
      if (!known) source.awaited.insert(queue_object(resource, now));
    } else if (resource.kind == UriKind::segment) {
      if (sequence++ < *source.next_sequence) continue;
      source.awaited.insert(queue_object(resource, now));
    }
  }
  source.inits = std::move(inits);
  source.next_sequence = std::max(*source.next_sequence, end);
}

FetchId PullPlan::queue_object(const PullPaths::Resource& resource, TimePoint now) {
  const FetchId id = std::exchange(next_id_, next_id_.next());
  objects_.push_back(Object{id, resource.url, resource.path, 0, false, now});
  if (objects_.size() > limits_.queued_max) {
    const auto oldest = std::ranges::find(objects_, false, &Object::in_flight);
    const FetchId dropped = oldest->id;
    objects_.erase(oldest);
    ++counters_.gaps;
    settle(dropped);
  }
  return id;
}

void PullPlan::retry_later(Source& source, std::string what, TimePoint now) {
  ++counters_.playlist_failures;
  const unsigned doublings = std::min(source.failures, 8U);
  ++source.failures;
  const Duration wait = limits_.playlist_retry_min * (1U << doublings);
  source.next_poll = now + std::min(wait, limits_.playlist_retry_max);
  actions_.push_back(Complaint{to_string(source.url), std::move(what)});
}

void PullPlan::on_playlist_failed(FetchId id, std::string what, TimePoint now) {
  if (Source* const source = find_source(id)) retry_later(*source, std::move(what), now);
}

void PullPlan::on_object_begun(FetchId id, TimePoint) {
  settle(id);
}

void PullPlan::on_object_done(FetchId id, TimePoint now) {
  const auto object = std::ranges::find(objects_, id, &Object::id);
  if (object == objects_.end()) return;
  objects_.erase(object);
  ++counters_.objects;
  settle(id);
  start_fetches(now);
}

void PullPlan::on_object_failed(FetchId id, std::string what, TimePoint now) {
  const auto object = std::ranges::find(objects_, id, &Object::id);
  if (object == objects_.end()) return;
  object->in_flight = false;
  actions_.push_back(Complaint{to_string(object->url), std::move(what)});
  if (++object->attempts < limits_.attempts_max) {
    object->not_before = now + limits_.retry_min * (1U << (object->attempts - 1));
  } else {
    const std::string path = object->path;
    objects_.erase(object);
    ++counters_.gaps;
    settle(id);
    for (Source& source : sources_) source.inits.erase(path);  // the next version asks again
  }
  start_fetches(now);
}

/// An object has begun to arrive or was given up: the playlists that waited for it may go.
void PullPlan::settle(FetchId id) {
  for (Source& source : sources_) {
    if (source.awaited.erase(id) == 0 || !source.awaited.empty() || !source.publish) continue;
    actions_.push_back(std::move(*source.publish));
    source.publish.reset();
  }
}

void PullPlan::start_fetches(TimePoint now) {
  auto running = static_cast<std::size_t>(std::ranges::count(objects_, true, &Object::in_flight));
  for (Object& object : objects_) {
    if (running >= limits_.fetches_max) return;
    if (object.in_flight || object.not_before > now) continue;
    object.in_flight = true;
    ++running;
    actions_.push_back(FetchObject{object.id, to_string(object.url), object.path});
  }
}

void PullPlan::on_timeout(TimePoint now) {
  for (Source& source : sources_) {
    if (source.publish && source.publish_deadline <= now) {
      source.awaited.clear();
      actions_.push_back(std::move(*source.publish));
      source.publish.reset();
    }
    if (source.in_flight || source.next_poll > now) continue;
    source.in_flight = std::exchange(next_id_, next_id_.next());
    actions_.push_back(FetchPlaylist{*source.in_flight, to_string(source.url)});
  }
  start_fetches(now);
}

std::optional<PullPlan::Action> PullPlan::poll_action() {
  if (actions_.empty()) return std::nullopt;
  Action action = std::move(actions_.front());
  actions_.pop_front();
  return action;
}

std::optional<TimePoint> PullPlan::next_timeout() const {
  std::optional<TimePoint> earliest;
  const auto consider = [&earliest](TimePoint time) {
    if (time != TimePoint::max() && (!earliest || time < *earliest)) earliest = time;
  };
  for (const Source& source : sources_) {
    if (!source.in_flight) consider(source.next_poll);
    if (source.publish) consider(source.publish_deadline);
  }
  const auto running = std::ranges::count(objects_, true, &Object::in_flight);
  if (static_cast<std::size_t>(running) >= limits_.fetches_max) return earliest;
  for (const Object& object : objects_) {
    if (!object.in_flight) consider(object.not_before);
  }
  return earliest;
}

}  // namespace tayga::ingest
