#pragma once

#include "common/base/result.hpp"

#include <boost/system/error_category.hpp>
#include <boost/system/is_error_code_enum.hpp>

#include <string_view>

namespace tayga::http {

/// What can be wrong with a message; http_status() says how the server answers it.
enum class HttpErrc {
  bad_request = 1,     ///< the request line or a field is malformed
  bad_target,          ///< path or query cannot be decoded, or the path climbs with dot segments
  bad_body,            ///< the chunked coding is malformed
  header_too_large,    ///< more than ServerOptions::header_size_max
  body_too_large,      ///< more than the route's maximum
  body_timeout,        ///< the body came more slowly than the smallest rate allowed
  unknown_method,      ///< not one of Method
  unknown_coding,      ///< a Transfer-Encoding other than chunked
  unknown_version,     ///< neither HTTP/1.0 nor HTTP/1.1
  truncated,           ///< the peer closed in the middle of a message
  invalid_answer,      ///< our handler wrote a field with a line break, or a wrong length
  write_stalled,       ///< the peer took no byte for ServerOptions::write_stall_timeout
  not_satisfiable,     ///< a range outside the file
  bad_url,             ///< not an http or https URL
  too_many_redirects,  ///< more than Fetcher follows
  answer_too_large,    ///< more than FetchRequest::max_bytes
  too_slow,            ///< no byte for too long, or the whole deadline passed
  connect_failed,      ///< name not found, refused, or no route
  tls_failed,          ///< certificate or handshake
  protocol_failed,     ///< the other side does not speak HTTP, or broke off
  queue_full,          ///< FetcherOptions::queued_max reached
  cancelled,
};

const boost::system::error_category& http_category() noexcept;
error_code make_error_code(HttpErrc code) noexcept;

/// The status that answers a request that failed so; 400 for whatever is not the server's own
/// fault.
unsigned http_status(const error_code& error) noexcept;
/// "Not Found"; "" for an unknown status.
std::string_view reason_phrase(unsigned status) noexcept;

}  // namespace tayga::http

template <>
struct boost::system::is_error_code_enum<tayga::http::HttpErrc> : std::true_type {};
