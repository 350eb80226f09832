#include "daemon/healing.hpp"

#include "common/base/encoding.hpp"
#include "common/base/units.hpp"
#include "common/log/log.hpp"

#include <string>

namespace tayga {
namespace {

std::string name_of(const StreamId& stream, const relay::Relay& relay) {
  for (const relay::StreamStatus& status : relay.streams()) {
    if (status.stream == stream) return status.name;
  }
  return {};
}

}  // namespace

Healing::Healing(boost::asio::any_io_executor executor, peers::RelayDriver& driver,
                 const relay::Relay& relay, metrics::Registry& registry)
    : driver_{driver},
      relay_{relay},
      histograms_{registry},
      origin_{executor, *this, rescue::OriginRescue::Options{}} {
  registry.counter_callback("tayga_rescue_origin_failed_total",
                            "Requests to origins that did not bring all that was asked for.",
                            [this] { return origin_.counters().failed; });
  registry.counter_callback("tayga_rescue_origin_overflowed_total",
                            "Of them, requests that were given up for newer ones.",
                            [this] { return origin_.counters().overflowed; });
}

void Healing::on_suspected(const relay::Relay::Suspected& suspected) {
  histograms_.on_suspected(suspected);
  log::debug("a parent fell silent",
             log::field("parent", [&] { return short_string(suspected.parent); }),
             log::field("silence", [&] { return format_duration(suspected.silence); }));
}

void Healing::on_repaired(const relay::Relay::Repaired& repaired) {
  const std::string name = name_of(repaired.stream, relay_);
  histograms_.on_repaired(repaired, name);
  static log::SiteLimit limit{100, 60s};
  log::at(limit, log::Level::info, "another parent took over", log::field("stream", name),
          log::field("track", repaired.track.value()),
          log::field("lost", [&] { return short_string(repaired.lost); }),
          log::field("parent", [&] { return short_string(repaired.parent); }),
          log::field("gap", [&] { return format_duration(repaired.gap); }));
}

void Healing::on_origin_bytes(std::uint64_t request, std::uint64_t offset, ByteView bytes) {
  driver_.input([&](relay::Relay& relay, relay::Now now) {
    relay.on_origin_bytes(request, offset, bytes, now);
  });
}

void Healing::on_origin_done(std::uint64_t request, const relay::Relay::OriginDone& done) {
  driver_.input(
      [&](relay::Relay& relay, relay::Now now) { relay.on_origin_done(request, done, now); });
}

}  // namespace tayga
