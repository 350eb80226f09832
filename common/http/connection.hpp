#pragma once

#include "common/async/event.hpp"
#include "common/async/task.hpp"
#include "common/base/bytes.hpp"
#include "common/http/request_parser.hpp"
#include "common/http/server.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

namespace tayga::http {

/// One client's connection: reads heads, runs the handler for each, watches the limits.
///
///   idle -> head -> exchange (body, answer) -> idle ... -> linger -> closed
///
/// One deadline at a time is enough, since a handler does one operation at a time: it is a plain
/// variable, and the timer behind it is set again only when the deadline comes nearer or it fires.
/// Kept alive by the task that runs it; the timer's callback holds it weakly.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  /// The referenced objects belong to the server and outlive every connection.
  Connection(boost::asio::ip::tcp::socket socket, const ServerOptions& options,
             const Handler& handler, ServerStats& stats);

  async::Task<void> run();
  /// Closes at once when idle, else after the running answer.
  void drain();

  // For RequestBody and ResponseWriter.
  [[nodiscard]] const ServerOptions& options() const noexcept { return options_; }
  [[nodiscard]] ByteView received() const noexcept;
  void consume(std::size_t size) noexcept;
  /// Waits for more bytes behind received(), no longer than until `deadline`. Error: eof, timed_out
  /// (the connection still works), or the socket's. Pre: the buffer has room.
  async::Task<error_code> receive(TimePoint deadline);
  /// Writes all parts; each piece of progress renews the stall timeout.
  async::Task<error_code> transmit(std::array<ByteView, 3> parts);
  /// The request's last body byte was consumed: from now on watch for the client's leaving.
  void on_body_done() { body_done_.set(); }
  /// Whether the answer whose head is being written can be followed by another one.
  [[nodiscard]] bool decide_keep_alive();
  bool refuse_keep_alive() noexcept { return keep_alive_ = false; }
  [[nodiscard]] bool answer_started() const noexcept { return writer_ && writer_->started(); }

 private:
  enum class Phase { idle, busy, closed };

  async::Task<Result<std::optional<ParsedHead>>> read_head();
  async::Task<void> refuse(error_code error);
  async::Task<bool> exchange(ParsedHead head);
  async::Task<void> run_handler(Request& request);
  async::Task<void> answer_for_handler();
  async::Task<void> watch_peer();
  async::Task<void> read_ahead();
  async::Task<void> wait_while_answer_moves();
  async::Task<void> linger();
  void close(bool reset) noexcept;

  boost::asio::mutable_buffer make_room() noexcept;
  void arm(TimePoint deadline);
  void disarm() noexcept { deadline_ = TimePoint::max(); }
  void wait_until(TimePoint when);
  void on_timer();

  boost::asio::ip::tcp::socket socket_;
  boost::asio::ip::tcp::endpoint remote_;
  const ServerOptions& options_;
  const Handler& handler_;
  ServerStats& stats_;

  Bytes buffer_;  // received bytes are [begin_, end_)
  std::size_t begin_ = 0;
  std::size_t end_ = 0;

  boost::asio::steady_timer timer_;
  TimePoint deadline_ = TimePoint::max();
  TimePoint wake_ = TimePoint::max();  // when timer_ fires; max = it is not set
  bool timed_out_ = false;

  async::Event body_done_;
  std::optional<RequestBody> body_;
  std::optional<ResponseWriter> writer_;
  std::uint64_t sent_size_ = 0;
  Phase phase_ = Phase::idle;
  bool first_request_ = true;
  bool request_keep_alive_ = false;
  bool keep_alive_ = false;  // as told to the client in the current answer
  bool draining_ = false;
  bool broken_ = false;  // no further byte can be written
};

}  // namespace tayga::http
