#include "common/http/request_body.hpp"

#include "common/async/clock.hpp"
#include "common/base/check.hpp"
#include "common/http/connection.hpp"

#include <boost/asio/error.hpp>

#include <algorithm>
#include <array>
#include <span>

namespace tayga::http {

namespace asio = boost::asio;
using async::Task;

RequestBody::RequestBody(Connection& connection, const BodyFraming& framing) noexcept
    : connection_{connection},
      framing_{framing},
      decoder_{framing},
      size_max_{connection.options().body_size_max},
      may_continue_{framing.expects_continue} {}

std::optional<std::uint64_t> RequestBody::content_length() const noexcept {
  if (framing_.chunked) return std::nullopt;
  return framing_.content_length;
}

/// Bytes earn time at the smallest rate allowed, but never more than one grace in advance: a burst
/// must not buy a long silence.
TimePoint RequestBody::deadline(TimePoint now) const noexcept {
  const ServerOptions& options = connection_.options();
  const std::uint64_t earned_us =
      received_size_ * 8 * 1'000'000 / std::max<std::uint64_t>(1, options.body_rate_min_bps);
  const Duration earned{static_cast<Duration::rep>(earned_us)};
  return std::min(*began_ + options.body_grace + earned, now + options.body_grace);
}

Task<error_code> RequestBody::say_continue() {
  may_continue_ = false;
  if (connection_.answer_started()) co_return error_code{};
  std::array<ByteView, 3> parts{};
  parts[0] = as_bytes("HTTP/1.1 100 Continue\r\n\r\n");
  co_return co_await connection_.transmit(parts);
}

Task<Result<std::size_t>> RequestBody::read_some(std::span<std::byte> out) {
  TAYGA_CHECK(!out.empty());
  if (error_) co_return error_;
  if (decoder_.done()) co_return std::size_t{0};
  if (!framing_.chunked && framing_.content_length > size_max_) {
    error_ = HttpErrc::body_too_large;
    co_return error_;
  }
  const auto size = co_await read_decoded(out);
  if (!size) {
    error_ = size.error();
    co_return error_;
  }
  received_size_ += *size;
  if (decoder_.done()) connection_.on_body_done();
  if (received_size_ > size_max_) {
    error_ = HttpErrc::body_too_large;
    co_return error_;
  }
  co_return *size;
}

Task<Result<std::size_t>> RequestBody::read_decoded(std::span<std::byte> out) {
  if (!began_) began_ = async::Clock::now();
  for (;;) {
    const auto step = decoder_.decode(connection_.received(), out);
    if (!step) co_return step.error();
    connection_.consume(step->consumed);
    if (step->produced > 0 || decoder_.done()) co_return step->produced;
    if (may_continue_) {
      const auto unsaid = co_await say_continue();
      if (unsaid) co_return unsaid;
    }
    const auto error = co_await connection_.receive(deadline(async::Clock::now()));
    if (error == asio::error::timed_out) co_return HttpErrc::body_timeout;
    if (error == asio::error::eof) co_return HttpErrc::truncated;
    if (error) co_return error;
  }
}

Task<Result<std::string>> RequestBody::read_all() {
  constexpr std::size_t kPieceSize = 4096;
  std::string text;
  for (;;) {
    const std::size_t before = text.size();
    text.resize(before + kPieceSize);
    const std::span piece = std::as_writable_bytes(std::span{text}.subspan(before));
    const auto size = co_await read_some(piece);
    if (!size) co_return size.error();
    text.resize(before + *size);
    if (*size == 0) co_return text;
  }
}

}  // namespace tayga::http
