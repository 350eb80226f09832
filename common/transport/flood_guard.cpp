#include "common/transport/flood_guard.hpp"

namespace tayga::transport {

void FloodGuard::begin_window(TimePoint now) noexcept {
  window_start_ = now;
  counts_.fill(0);
}

const char* to_string(FloodGuard::Kind kind) noexcept {
  switch (kind) {
    case FloodGuard::Kind::control_frame:
      return "control frames";
    case FloodGuard::Kind::small_frame:
      return "small media frames";
    case FloodGuard::Kind::idle_record:
      return "records without data";
    case FloodGuard::Kind::small_record:
      return "small records";
    case FloodGuard::Kind::idle_packet:
      return "packets without data";
    case FloodGuard::Kind::key_update:
      return "key updates";
    case FloodGuard::Kind::stream_opened:
      return "opened streams";
    case FloodGuard::Kind::reset:
      return "stream resets";
    case FloodGuard::Kind::path_probe:
      return "path probes";
    case FloodGuard::Kind::connection_id:
      return "connection ids";
    case FloodGuard::Kind::small_packet:
      return "small packets";
    case FloodGuard::Kind::idle_frame:
      return "frames without data";
    case FloodGuard::Kind::crypto_frame:
      return "handshake frames";
  }
  return "events";
}

}  // namespace tayga::transport
