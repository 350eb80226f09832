#include "daemon/control/protobuf_log.hpp"

#include "common/log/log.hpp"

#include <google/protobuf/stubs/logging.h>

#include <string>

namespace tayga::control {

namespace {

void on_protobuf_log(google::protobuf::LogLevel /*level*/, const char* /*file*/, int /*line*/,
                     const std::string& message) {
  static log::SiteLimit limit{5, 60s};
  log::at(limit, log::Level::debug, "protobuf", log::field("detail", message));
}

}  // namespace

void route_protobuf_log() {
  [[maybe_unused]] static const auto previous = google::protobuf::SetLogHandler(&on_protobuf_log);
}

}  // namespace tayga::control
