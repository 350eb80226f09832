#include "common/http/response_writer.hpp"

#include "common/async/clock.hpp"
#include "common/base/check.hpp"
#include "common/http/connection.hpp"

#include <array>
#include <charconv>
#include <ctime>

namespace tayga::http {
namespace {

using async::Task;

/// A line break in a value would let whoever chose it write fields, or a whole answer, of his own.
bool is_safe_field(const Header& header) noexcept {
  const auto is_plain = [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return (u >= ' ' && u != 0x7f) || c == '\t';
  };
  const auto is_name = [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return u > ' ' && u < 0x7f && c != ':';
  };
  return !header.name.empty() && std::ranges::all_of(header.name, is_name) &&
         std::ranges::all_of(header.value, is_plain);
}

/// RFC 9110 section 5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT", whatever the locale.
std::string http_date(WallTime now) {
  constexpr std::array kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                               "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto days = std::chrono::floor<std::chrono::days>(now);
  const std::chrono::year_month_day date{days};
  const std::chrono::hh_mm_ss time{std::chrono::floor<std::chrono::seconds>(now - days)};
  std::array<char, 48> text{};
  const int size = std::snprintf(
      text.data(), text.size(), "%s, %02u %s %04d %02d:%02d:%02d GMT",
      kDays[std::chrono::weekday{days}.c_encoding()], unsigned{date.day()},
      kMonths[unsigned{date.month()} - 1], int{date.year()}, static_cast<int>(time.hours().count()),
      static_cast<int>(time.minutes().count()), static_cast<int>(time.seconds().count()));
  return {text.data(), static_cast<std::size_t>(size)};
}

/// Statuses that never have a body nor speak of its length.
bool is_bodiless(unsigned status) noexcept {
  return status == 204 || status == 304;
}

Result<void> to_result(const error_code& error) {
  if (error) return error;
  return {};
}

}  // namespace

ResponseWriter::ResponseWriter(Connection& connection, const Request& request) noexcept
    : connection_{connection},
      head_request_{request.method == Method::head},
      version_{request.version} {}

bool ResponseWriter::has_body() const noexcept {
  return !head_request_ && !is_bodiless(status_);
}

Result<std::string> ResponseWriter::make_head(unsigned status, const Headers& headers,
                                              std::optional<std::uint64_t> content_length) {
  TAYGA_CHECK(!started_ && status >= 200 && status <= 599);
  started_ = true;
  status_ = status;
  remaining_ = content_length.value_or(0);
  coding_ = content_length   ? Coding::length
            : version_ == 10 ? Coding::until_close
                             : Coding::chunked;
  bool keep_alive = connection_.decide_keep_alive();
  if (coding_ == Coding::until_close && has_body()) keep_alive = connection_.refuse_keep_alive();
  std::string head = "HTTP/1.1 " + std::to_string(status) + " ";
  head += reason_phrase(status);
  head += "\r\nDate: " + http_date(async::Clock::wall_now());
  for (const Header& header : headers) {
    if (!is_safe_field(header)) return HttpErrc::invalid_answer;
    head += "\r\n" + header.name + ": " + header.value;
  }
  if (content_length && status != 204) {
    head += "\r\nContent-Length: " + std::to_string(*content_length);
  }
  if (coding_ == Coding::chunked && !is_bodiless(status)) head += "\r\nTransfer-Encoding: chunked";
  if (!keep_alive) head += "\r\nConnection: close";
  if (keep_alive && version_ == 10) head += "\r\nConnection: keep-alive";
  head += "\r\n\r\n";
  return head;
}

Task<Result<void>> ResponseWriter::send(unsigned status, Headers headers, ByteView body) {
  const auto head = make_head(status, headers, body.size());
  if (!head) co_return head.error();
  std::array<ByteView, 3> parts{};
  parts[0] = as_bytes(*head);
  if (has_body()) parts[1] = body;
  const auto error = co_await connection_.transmit(parts);
  finished_ = !error;
  co_return to_result(error);
}

Task<Result<void>> ResponseWriter::send(unsigned status, Headers headers, std::string_view body) {
  return send(status, std::move(headers), as_bytes(body));
}

Task<Result<void>> ResponseWriter::send_text(unsigned status, std::string text) {
  text += '\n';
  Headers headers;
  headers.add("Content-Type", "text/plain; charset=utf-8");
  co_return co_await send(status, std::move(headers), as_bytes(text));
}

Task<Result<void>> ResponseWriter::start(unsigned status, Headers headers,
                                         std::optional<std::uint64_t> content_length) {
  const auto head = make_head(status, headers, content_length);
  if (!head) co_return head.error();
  std::array<ByteView, 3> parts{};
  parts[0] = as_bytes(*head);
  co_return to_result(co_await connection_.transmit(parts));
}

Task<Result<void>> ResponseWriter::write(ByteView body) {
  TAYGA_CHECK(started_ && !finished_);
  if (coding_ == Coding::length) {
    if (body.size() > remaining_) co_return HttpErrc::invalid_answer;
    remaining_ -= body.size();
  }
  if (!has_body() || body.empty()) co_return Result<void>{};
  std::array<char, 20> line{};
  std::array<ByteView, 3> parts{};
  parts[1] = body;
  if (coding_ == Coding::chunked) {
    char* end = std::to_chars(line.data(), line.data() + 16, body.size(), 16).ptr;
    *end++ = '\r';
    *end++ = '\n';
    parts[0] = as_bytes({line.data(), static_cast<std::size_t>(end - line.data())});
    parts[2] = as_bytes("\r\n");
  }
  co_return to_result(co_await connection_.transmit(parts));
}

Task<Result<void>> ResponseWriter::finish() {
  TAYGA_CHECK(started_ && !finished_);
  if (coding_ == Coding::length && remaining_ > 0 && has_body()) {
    co_return HttpErrc::invalid_answer;
  }
  std::array<ByteView, 3> parts{};
  if (coding_ == Coding::chunked && has_body()) parts[0] = as_bytes("0\r\n\r\n");
  const auto error = co_await connection_.transmit(parts);
  finished_ = !error;
  co_return to_result(error);
}

}  // namespace tayga::http
