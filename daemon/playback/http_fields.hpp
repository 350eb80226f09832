#pragma once

#include "common/http/headers.hpp"

namespace tayga::playback {

/// On every answer: a page from anywhere may play the local stream and measure how it loads.
inline http::Headers common_fields() {
  http::Headers headers;
  headers.add("Access-Control-Allow-Origin", "*");
  headers.add("Access-Control-Expose-Headers",
              "Content-Length, Content-Range, Content-Type, Accept-Ranges, ETag, Date");
  headers.add("Timing-Allow-Origin", "*");
  return headers;
}

/// The answer to a browser that asks before it fetches with Range or its own fields.
inline http::Headers preflight_fields() {
  http::Headers headers = common_fields();
  headers.add("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS");
  headers.add("Access-Control-Allow-Headers", "*");
  headers.add("Access-Control-Max-Age", "86400");
  return headers;
}

}  // namespace tayga::playback
