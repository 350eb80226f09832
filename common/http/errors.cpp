#include "common/http/errors.hpp"

#include <string>

namespace tayga::http {
namespace {

const char* text_of(HttpErrc code) noexcept {
  switch (code) {
    case HttpErrc::bad_request:
      return "the request line or a header field is malformed";
    case HttpErrc::bad_target:
      return "the request target is malformed or leaves its folder";
    case HttpErrc::bad_body:
      return "the chunked body is malformed";
    case HttpErrc::header_too_large:
      return "the request header is too large";
    case HttpErrc::body_too_large:
      return "the request body is too large for this resource";
    case HttpErrc::body_timeout:
      return "the request body came too slowly";
    case HttpErrc::unknown_method:
      return "this method is not supported";
    case HttpErrc::unknown_coding:
      return "this transfer coding is not supported, only chunked";
    case HttpErrc::unknown_version:
      return "only HTTP/1.0 and HTTP/1.1 are supported";
    case HttpErrc::truncated:
      return "the peer closed the connection inside a message";
    case HttpErrc::invalid_answer:
      return "the answer has a broken field or a wrong length";
    case HttpErrc::write_stalled:
      return "the peer stopped reading";
    case HttpErrc::not_satisfiable:
      return "the range lies outside the file";
    case HttpErrc::bad_url:
      return "not an http or https URL";
    case HttpErrc::too_many_redirects:
      return "too many redirects";
    case HttpErrc::answer_too_large:
      return "the answer is larger than allowed";
    case HttpErrc::too_slow:
      return "the answer did not come in time";
    case HttpErrc::connect_failed:
      return "cannot connect";
    case HttpErrc::tls_failed:
      return "TLS failed";
    case HttpErrc::protocol_failed:
      return "the connection broke off or is not HTTP";
    case HttpErrc::queue_full:
      return "too many transfers are waiting";
    case HttpErrc::cancelled:
      return "cancelled";
  }
  return "unknown HTTP error";
}

class HttpCategory final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "tayga.http"; }
  std::string message(int value) const override { return text_of(static_cast<HttpErrc>(value)); }
};

}  // namespace

const boost::system::error_category& http_category() noexcept {
  static const HttpCategory category;
  return category;
}

error_code make_error_code(HttpErrc code) noexcept {
  return {static_cast<int>(code), http_category()};
}

unsigned http_status(const error_code& error) noexcept {
  if (error.category() != http_category()) return 500;
  switch (static_cast<HttpErrc>(error.value())) {
    case HttpErrc::header_too_large:
      return 431;
    case HttpErrc::body_too_large:
      return 413;
    case HttpErrc::body_timeout:
      return 408;
    case HttpErrc::unknown_method:
    case HttpErrc::unknown_coding:
      return 501;
    case HttpErrc::unknown_version:
      return 505;
    case HttpErrc::not_satisfiable:
      return 416;
    case HttpErrc::bad_request:
    case HttpErrc::bad_target:
    case HttpErrc::bad_body:
    case HttpErrc::truncated:
      return 400;
    case HttpErrc::invalid_answer:
    case HttpErrc::write_stalled:
    case HttpErrc::cancelled:
      return 500;
    case HttpErrc::bad_url:
    case HttpErrc::too_many_redirects:
    case HttpErrc::answer_too_large:
    case HttpErrc::too_slow:
    case HttpErrc::connect_failed:
    case HttpErrc::tls_failed:
    case HttpErrc::protocol_failed:
    case HttpErrc::queue_full:
      return 502;
  }
  return 500;
}

std::string_view reason_phrase(unsigned status) noexcept {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "";
  }
}

}  // namespace tayga::http
