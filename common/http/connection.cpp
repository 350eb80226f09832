#include "common/http/connection.hpp"

#include "common/async/clock.hpp"
#include "common/async/timeout.hpp"
#include "common/base/check.hpp"
#include "common/log/log.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <exception>
#include <string>

namespace tayga::http {
namespace {

namespace asio = boost::asio;
using async::as_values;
using async::Clock;
using async::Task;

/// Holds one head, and what a client pipelines behind the request that is being answered.
constexpr std::size_t kBufferSize = 16 * 1024;
/// What is read and thrown away after an early answer before the connection is cut.
constexpr std::size_t kLingerSizeMax = 1024 * 1024;

Task<bool> is_cancelled() {
  const auto state = co_await asio::this_coro::cancellation_state;
  co_return state.cancelled() != asio::cancellation_type::none;
}

}  // namespace

Connection::Connection(asio::ip::tcp::socket socket, const ServerOptions& options,
                       const Handler& handler, ServerStats& stats)
    : socket_{std::move(socket)},
      options_{options},
      handler_{handler},
      stats_{stats},
      buffer_(std::max(kBufferSize, options.header_size_max)),
      timer_{socket_.get_executor()},
      body_done_{socket_.get_executor()} {
  boost::system::error_code error;
  remote_ = socket_.remote_endpoint(error);
  socket_.set_option(asio::ip::tcp::no_delay{true}, error);
}

Task<void> Connection::run() {
  const auto self = shared_from_this();
  co_await asio::this_coro::throw_if_cancelled(false);
  for (bool again = true; again;) {
    phase_ = Phase::idle;
    auto head = co_await read_head();
    phase_ = Phase::busy;
    if (!head) {
      co_await refuse(head.error());
      break;
    }
    if (!*head) break;
    first_request_ = false;
    ++stats_.requests_total;
    again = co_await exchange(std::move(**head));
    const bool cancelled = co_await is_cancelled();
    if (cancelled) break;
  }
  phase_ = Phase::closed;
  disarm();
  timer_.cancel();
  close(false);
}

void Connection::drain() {
  draining_ = true;
  if (phase_ != Phase::idle || begin_ != end_) return;
  boost::system::error_code ignored;
  socket_.cancel(ignored);
}

ByteView Connection::received() const noexcept {
  return ByteView{buffer_}.subspan(begin_, end_ - begin_);
}

void Connection::consume(std::size_t size) noexcept {
  TAYGA_CHECK(size <= end_ - begin_);
  begin_ += size;
  if (begin_ == end_) begin_ = end_ = 0;
}

/// The free part of the buffer; empty when all of it holds unread bytes.
asio::mutable_buffer Connection::make_room() noexcept {
  if (begin_ > 0) {
    const auto unread = received();
    std::copy(unread.begin(), unread.end(), buffer_.begin());
    end_ = unread.size();
    begin_ = 0;
  }
  return asio::buffer(buffer_.data() + end_, buffer_.size() - end_);
}

Task<error_code> Connection::receive(TimePoint deadline) {
  const asio::mutable_buffer room = make_room();
  TAYGA_CHECK(room.size() > 0);
  // A cancellation between two operations would be missed by the second.
  const bool cancelled = co_await is_cancelled();
  if (cancelled) co_return asio::error::operation_aborted;
  arm(deadline);
  const auto [error, size] = co_await socket_.async_read_some(room, as_values);
  disarm();
  end_ += size;
  stats_.received_bytes_total += size;
  if (error && timed_out_) {
    timed_out_ = false;
    co_return asio::error::timed_out;
  }
  co_return error;
}

Task<error_code> Connection::transmit(std::array<ByteView, 3> parts) {
  if (broken_) co_return asio::error::not_connected;
  for (;;) {
    std::array<asio::const_buffer, 3> buffers;
    std::size_t left = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      buffers[i] = asio::buffer(parts[i].data(), parts[i].size());
      left += parts[i].size();
    }
    if (left == 0) co_return error_code{};
    const bool cancelled = co_await is_cancelled();
    if (cancelled) co_return asio::error::operation_aborted;
    arm(Clock::now() + options_.write_stall_timeout);
    auto [error, size] = co_await socket_.async_write_some(buffers, as_values);
    disarm();
    sent_size_ += size;
    stats_.sent_bytes_total += size;
    if (error) {
      broken_ = true;
      if (timed_out_) error = make_error_code(HttpErrc::write_stalled);
      co_return error;
    }
    for (ByteView& part : parts) {
      const std::size_t done = std::min(part.size(), size);
      part = part.subspan(done);
      size -= done;
    }
  }
}

bool Connection::decide_keep_alive() {
  // An unread body would have to be read first to find the next request: not worth it.
  keep_alive_ = request_keep_alive_ && !draining_ && (!body_ || body_->done());
  return keep_alive_;
}

/// nullopt: nothing more will come or is wanted; close without a word.
Task<Result<std::optional<ParsedHead>>> Connection::read_head() {
  constexpr std::optional<ParsedHead> kNone;
  if (draining_) co_return kNone;
  RequestParser parser{options_.header_size_max};
  bool begun = false;
  TimePoint deadline =
      Clock::now() + (first_request_ ? options_.header_timeout : options_.idle_timeout);
  for (;;) {
    if (begin_ != end_) {
      auto head = parser.parse(received());
      if (!head) co_return head.error();
      if (*head) {
        consume(parser.head_size());
        co_return std::move(*head);
      }
      if (!begun) deadline = Clock::now() + options_.header_timeout;
      begun = true;
    }
    const error_code error = co_await receive(deadline);
    if (!error) continue;
    if (!begun) co_return kNone;
    if (error == asio::error::timed_out) co_return HttpErrc::body_timeout;
    if (error == asio::error::eof) co_return HttpErrc::truncated;
    co_return kNone;
  }
}

/// Answers what is not a request. The connection ends with it: where the next one begins is
/// unknown.
Task<void> Connection::refuse(error_code error) {
  ++stats_.requests_malformed_total;
  request_keep_alive_ = false;
  body_.reset();
  Request request;
  writer_.emplace(*this, request);
  const bool slow = error == make_error_code(HttpErrc::body_timeout);
  const std::string text = slow ? "the request header came too slowly" : error.message();
  const auto sent = co_await writer_->send_text(http_status(error), text);
  if (sent) co_await linger();
}

/// False: the connection has to end.
Task<bool> Connection::exchange(ParsedHead head) {
  using namespace asio::experimental::awaitable_operators;
  Request& request = head.request;
  request.remote = remote_;
  request_keep_alive_ = request.keep_alive;
  body_done_.reset();
  writer_.emplace(*this, request);
  body_.emplace(*this, head.framing);
  Task<void> handling = run_handler(request);
  Task<void> watching = watch_peer();
  co_await (std::move(handling) || std::move(watching));
  const bool may_answer = !broken_ && !co_await is_cancelled();
  if (may_answer && !writer_->started()) co_await answer_for_handler();
  if (!writer_->finished()) {
    close(true);  // cut, so that the client cannot take the part for the whole
    co_return false;
  }
  if (keep_alive_ && body_->done()) co_return true;
  const bool all_read = body_->done() && begin_ == end_;
  if (may_answer && !all_read) co_await linger();
  co_return false;
}

Task<void> Connection::run_handler(Request& request) {
  std::string failure;
  try {
    co_await handler_(request, *body_, *writer_);
    co_return;
  } catch (const std::exception& e) {
    failure = e.what();
  }
  co_await asio::this_coro::throw_if_cancelled(false);
  const bool cancelled = co_await is_cancelled();
  if (broken_ || cancelled) co_return;  // the usual end when the client has gone
  static log::SiteLimit limit{10, 60s};
  log::at(limit, log::Level::warn, "a request handler failed", log::field("what", failure));
}

Task<void> Connection::answer_for_handler() {
  const error_code error = body_->error();
  const unsigned status = error ? http_status(error) : 500;
  const std::string text = error ? error.message() : std::string{"internal error"};
  (void)co_await writer_->send_text(status, text);
}

/// Ends when the client has gone, which cancels the handler.
Task<void> Connection::watch_peer() {
  co_await asio::this_coro::throw_if_cancelled(false);
  if (body_->done()) body_done_.set();
  const auto body_read = co_await body_done_.wait();  // until then the handler itself reads
  if (body_read != async::WaitResult::signalled) co_return;
  co_await read_ahead();
  bool cancelled = co_await is_cancelled();
  if (cancelled) co_return;
  co_await wait_while_answer_moves();
  cancelled = co_await is_cancelled();
  if (cancelled) co_return;
  broken_ = true;
}

/// Reads what the client pipelines until it closes. When the buffer is full the kernel's is the
/// limit, and only a failing write shows that the client has gone.
Task<void> Connection::read_ahead() {
  for (;;) {
    const asio::mutable_buffer room = make_room();
    if (room.size() == 0) {
      async::Event never{socket_.get_executor()};
      (void)co_await never.wait();
      co_return;
    }
    const auto [error, size] = co_await socket_.async_read_some(room, as_values);
    end_ += size;
    stats_.received_bytes_total += size;
    const bool cancelled = co_await is_cancelled();
    if (error || cancelled) co_return;
  }
}

/// A client may close its sending half and still read: its answer goes on while it makes progress.
Task<void> Connection::wait_while_answer_moves() {
  std::uint64_t seen = 0;
  do {
    if (broken_) co_return;
    seen = sent_size_;
    (void)co_await async::sleep_for(options_.half_close_grace);
    const bool cancelled = co_await is_cancelled();
    if (cancelled) co_return;
  } while (sent_size_ != seen);
}

/// Closing with unread input resets the connection, and the reset can overtake the answer: so say
/// that no more comes, and read on for a moment.
Task<void> Connection::linger() {
  boost::system::error_code error;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, error);
  const TimePoint deadline = Clock::now() + options_.linger_timeout;
  std::size_t discarded = 0;
  while (!error && discarded < kLingerSizeMax) {
    discarded += end_ - begin_;
    begin_ = end_ = 0;
    error = co_await receive(deadline);
  }
}

void Connection::close(bool reset) noexcept {
  boost::system::error_code ignored;
  if (reset) socket_.set_option(asio::socket_base::linger{true, 0}, ignored);
  socket_.close(ignored);
}

void Connection::arm(TimePoint deadline) {
  timed_out_ = false;
  deadline_ = deadline;
  if (deadline < wake_) wait_until(deadline);
}

void Connection::wait_until(TimePoint when) {
  wake_ = when;
  timer_.expires_at(Clock::to_steady(when));
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    if (error) return;  // set anew for a nearer deadline
    if (const auto self = weak.lock()) self->on_timer();
  });
}

void Connection::on_timer() {
  wake_ = TimePoint::max();
  if (deadline_ == TimePoint::max()) return;
  if (Clock::now() < deadline_) return wait_until(deadline_);
  disarm();
  timed_out_ = true;
  boost::system::error_code ignored;
  socket_.cancel(ignored);
}

}  // namespace tayga::http
