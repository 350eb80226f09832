#include "common/transport/tls/link.hpp"

#include "common/async/clock.hpp"
#include "common/base/check.hpp"

#include <boost/asio/error.hpp>

#include <algorithm>
#include <utility>

namespace tayga::transport::tls {
namespace {

constexpr std::size_t kReadSize = 128 * 1024;
constexpr int kReadsPerWake = 2;
constexpr std::size_t kPlainSize = 64 * 1024;
constexpr std::size_t kRecordSizeMax = 16 * 1024;
/// A write takes frames until it has this much, so it is at most this and one largest frame.
constexpr std::size_t kWriteSize = 64 * 1024;
/// Then the other sessions get their turn.
constexpr std::size_t kWritesPerTurn = 4;
/// An estimate this old is given again: a system call a session and a look is too much of a metric.
constexpr Duration kRttAge = 250ms;
/// Seen at the next tick, 250 ms later at most: a close takes 1 s at most.
constexpr Duration kCloseDeadline = 750ms;

Duration tick_period(const TlsOptions& options) {
  const Duration shortest =
      std::min({options.idle_max, options.handshake_timeout, options.stall_max});
  return std::clamp<Duration>(shortest / 8, 10ms, 250ms);
}

class LinkSession final : public Session {
 public:
  explicit LinkSession(std::shared_ptr<Link> link) : link_{std::move(link)} {}
  ~LinkSession() override { link_->abandon(); }
  LinkSession(const LinkSession&) = delete;
  LinkSession& operator=(const LinkSession&) = delete;

  void start(SessionHandler& handler) override { link_->start(handler); }
  void send_control(SharedBytes frame) override { link_->send_control(std::move(frame)); }
  void notify_media() override { link_->notify_media(); }
  void close(std::string reason) override { link_->close(std::move(reason)); }
  void set_reading(Reading reading) override { link_->set_reading(reading); }
  [[nodiscard]] const NodeId& peer() const noexcept override { return link_->peer(); }
  [[nodiscard]] Kind kind() const noexcept override { return Kind::tcp; }
  [[nodiscard]] Side side() const noexcept override { return link_->side(); }
  [[nodiscard]] Endpoint remote_endpoint() const override { return link_->remote(); }
  [[nodiscard]] SessionStats stats() const override { return link_->stats(); }

 private:
  const std::shared_ptr<Link> link_;
};

}  // namespace

Hub::Hub(boost::asio::any_io_executor ex, const TlsOptions& opts)
    : executor{ex},
      options{opts},
      poller{std::make_shared<Poller>(ex, tick_period(opts))},
      turns{std::make_shared<TurnQueue>(ex, opts.flush_delay)},
      received(kReadSize),
      plain_in(kPlainSize) {
  plain_out.reserve(kWriteSize + wire::kFrameHeaderSize + wire::kPayloadSizeMax);
}

std::unique_ptr<Session> make_session(std::shared_ptr<Hub> hub, Established established) {
  return std::make_unique<LinkSession>(
      std::make_shared<Link>(std::move(hub), std::move(established)));
}

Link::Link(std::shared_ptr<Hub> hub, Established established)
    : hub_{std::move(hub)},
      socket_{std::move(established.socket)},
      engine_{std::move(established.engine)},
      peer_{engine_->peer().value()},
      side_{established.side},
      remote_{established.remote},
      last_heard_{async::Clock::now()},
      early_input_{std::move(established.input)},
      pending_{std::move(established.output)} {
  ++hub_->session_count;
  limit_stall(socket_, hub_->options.stall_max);
}

Link::~Link() {
  TAYGA_CHECK(!socket_);
}

void Link::start(SessionHandler& handler) {
  TAYGA_CHECK(handler_ == nullptr);
  if (phase_ == Phase::finished) return;
  handler_ = &handler;
  last_heard_ = taken_at_ = async::Clock::now();
  watching_output_ = pending_sent_ < pending_.size();
  watched_ = hub_->poller->add(socket_.get(), *this, wanted_events());
  if (!watched_) verdict_ = CloseInfo{CloseInfo::Reason::reset, "out of kernel resources"};
  schedule();
}

void Link::send_control(SharedBytes frame) {
  if (phase_ != Phase::open || verdict_) return;
  control_bytes_ += frame->size();
  control_.push_back(std::move(frame));
  if (control_bytes_ > kControlQueueMax) {
    verdict_ = CloseInfo{CloseInfo::Reason::overflow,
                         std::to_string(control_bytes_) + " bytes of control frames not taken"};
  }
  schedule();
}

void Link::notify_media() {
  if (phase_ != Phase::open) return;
  handler_has_media_ = true;
  if (!watching_output_) schedule();  // else: when the socket takes bytes again
}

void Link::close(std::string reason) {
  if (phase_ != Phase::open || verdict_) return;
  phase_ = Phase::closing;
  close_reason_ = std::move(reason);
  close_deadline_ = async::Clock::now() + kCloseDeadline;
  media_.clear();
  media_bytes_ = 0;
  handler_has_media_ = false;
  if (handler_ == nullptr) return;  // never started: closed when its owner destroys it
  schedule();
}

void Link::set_reading(Reading reading) {
  if (reading_ == (reading == Reading::on)) return;
  reading_ = reading == Reading::on;
  last_heard_ = async::Clock::now();  // the silence was ours
  if (watched_) hub_->poller->modify(socket_.get(), *this, wanted_events());
}

void Link::abandon() {
  handler_ = nullptr;
  finish({CloseInfo::Reason::local, {}});
}

SessionStats Link::stats() const {
  SessionStats stats = stats_;
  const std::size_t pending = pending_.size() - pending_sent_;
  stats.queued_bytes = control_bytes_ + media_bytes_ + pending;
  // Encrypted, so a few bytes more than the frames in it.
  stats.frame_bytes_out -= std::min<std::uint64_t>(pending, stats.frame_bytes_out);
  const TimePoint now = async::Clock::now();
  if (socket_ && now - rtt_at_ >= kRttAge) {
    rtt_ = smoothed_rtt(socket_);
    rtt_at_ = now;
  }
  stats.smoothed_rtt = rtt_;
  return stats;
}

void Link::on_ready(std::uint32_t events) {
  const auto self = shared_from_this();
  take_early_input();
  if (phase_ == Phase::finished) return;
  if ((events & EPOLLOUT) != 0 && send_pending()) pump();
  if ((events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) receive();
}

void Link::on_tick(TimePoint now) {
  const auto self = shared_from_this();
  if (phase_ == Phase::closing && now >= close_deadline_) {
    return finish({CloseInfo::Reason::local, close_reason_});
  }
  if (control_.empty()) control_.clear();  // gives back what a burst took
  if (media_.empty()) media_.clear();
  if (phase_ == Phase::open && reading_ && now - last_heard_ >= hub_->options.idle_max) {
    return finish({CloseInfo::Reason::idle, "nothing heard from the peer"});
  }
  if (phase_ == Phase::open && !pending_.empty() && now - taken_at_ >= hub_->options.stall_max) {
    finish({CloseInfo::Reason::stalled, "the peer takes nothing"});
  }
}

void Link::on_turn(Turn turn) {
  const auto self = shared_from_this();
  (turn == Turn::soon ? turn_soon_ : turn_delayed_) = false;
  if (phase_ == Phase::finished || handler_ == nullptr) return;
  if (verdict_) return finish(*verdict_);
  take_early_input();
  if (turn == Turn::delayed) flush_due_ = true;
  pump();
}

// Reading.

void Link::take_early_input() {
  if (early_input_.empty()) return;
  const Bytes input = std::exchange(early_input_, {});
  stats_.bytes_in += input.size();
  on_encrypted(input);
}

void Link::receive() {
  for (int i = 0; i < kReadsPerWake && phase_ != Phase::finished; ++i) {
    if (i > 0 && !reading_) return;
    const Result<std::size_t> got = receive_some(socket_, hub_->received);
    if (!got) {
      if (got.error() == boost::asio::error::would_block) return;
      return on_receive_error(got.error());
    }
    if (*got == 0) {
      return on_peer_end(CloseInfo::Reason::reset, "the connection ended without a goodbye");
    }
    stats_.bytes_in += *got;
    last_heard_ = async::Clock::now();
    on_encrypted(ByteView{hub_->received}.first(*got));
    if (*got < hub_->received.size()) return;
  }
}

void Link::on_encrypted(ByteView in) {
  const std::span<std::byte> plain{hub_->plain_in};
  Engine::Status status = Engine::Status::ok;
  while (status == Engine::Status::ok && phase_ != Phase::finished) {
    std::size_t filled = 0;
    // Several records side by side: a frame that crosses from one to the next needs no copy.
    while (status == Engine::Status::ok && plain.size() - filled >= kRecordSizeMax) {
      const Engine::Read read = engine_->read(in, plain.subspan(filled), pending_);
      status = read.status;
      filled += read.size;
      if (status == Engine::Status::ok && !admit_records(read)) return;
    }
    deliver(plain.first(filled));
  }
  if (phase_ == Phase::finished) return;
  if (status == Engine::Status::closed) {
    return on_peer_end(CloseInfo::Reason::remote, "the peer closed");
  }
  if (status == Engine::Status::failed) {
    return on_peer_end(CloseInfo::Reason::reset, "TLS: " + engine_->failure());
  }
  watch();  // OpenSSL may have answered by itself
}

void Link::deliver(ByteView plain) {
  while (phase_ == Phase::open && !verdict_) {
    const Result<std::optional<FrameView>> frame = reader_.next(plain);
    if (!frame) return finish({CloseInfo::Reason::protocol, frame.error().message()});
    if (!*frame) return;
    if (!admit_frame(**frame)) return;
    handler_->on_frame((*frame)->type, (*frame)->payload);
  }
}

bool Link::admit(FloodGuard::Kind kind, std::uint32_t count) {
  if (floods_.admit(kind, last_heard_, count)) return true;
  finish({CloseInfo::Reason::protocol, std::string{"a flood of "} + to_string(kind)});
  return false;
}

bool Link::admit_records(const Engine::Read& read) {
  if (read.idle_records > 0 && !admit(FloodGuard::Kind::idle_record, read.idle_records)) {
    return false;
  }
  if (read.size == 0) return true;
  // The end of a write that did not fill its last record is small as well: two in a row count.
  const bool before = std::exchange(record_was_small_, read.size < FloodGuard::kSmallRecord);
  return !before || !record_was_small_ || admit(FloodGuard::Kind::small_record);
}

bool Link::admit_frame(const FrameView& frame) {
  if (frame.type == wire::FrameType::control) return admit(FloodGuard::Kind::control_frame);
  return frame.payload.size() >= FloodGuard::kSmallFrame || admit(FloodGuard::Kind::small_frame);
}

void Link::on_receive_error(const error_code& ec) {
  const bool stalled = ec == boost::asio::error::timed_out;  // limit_stall(), or the path is gone
  on_peer_end(stalled ? CloseInfo::Reason::stalled : CloseInfo::Reason::reset, ec.message());
}

void Link::on_peer_end(CloseInfo::Reason reason, std::string detail) {
  if (phase_ == Phase::closing) return finish({CloseInfo::Reason::local, close_reason_});
  finish({reason, std::move(detail)});
}

// Writing.

void Link::schedule() {
  if (turn_soon_ || handler_ == nullptr) return;
  turn_soon_ = true;
  hub_->turns->schedule(weak_from_this());
}

void Link::pump() {
  for (std::size_t writes = 0;; ++writes) {
    if (phase_ == Phase::finished || !pending_.empty()) return;
    pull_media();
    if (phase_ == Phase::finished) return;
    if (control_.empty() && media_.empty()) break;
    if (!flush_is_due()) {
      if (turn_delayed_) return;
      turn_delayed_ = true;
      return hub_->turns->schedule_delayed(weak_from_this());
    }
    if (writes == kWritesPerTurn) return schedule();
    if (!write_batch()) return;
  }
  if (phase_ == Phase::closing) say_goodbye();
}

void Link::pull_media() {
  while (phase_ == Phase::open && handler_has_media_ && media_bytes_ < kWriteSize) {
    std::optional<OutboundMedia> next = handler_->next_media();
    if (phase_ == Phase::finished) return;
    if (!next) {
      handler_has_media_ = false;
      return;
    }
    if (phase_ != Phase::open)
      return;  // closed from inside next_media(): media is not sent any more
    media_bytes_ += next->frame->size();
    media_.push_back(std::move(next->frame));
  }
}

bool Link::flush_is_due() const {
  // A control frame does not wait, and the media that is there goes with it at no cost.
  return !control_.empty() || media_bytes_ >= hub_->options.flush_bytes || flush_due_ ||
         hub_->turns->delay() <= Duration{0};
}

bool Link::write_batch() {
  Bytes& plain = hub_->plain_out;
  plain.clear();
  const auto take = [&](RingQueue<SharedBytes>& queue, std::size_t& queued) {
    const SharedBytes frame = queue.pop_front();
    queued -= frame->size();
    plain.insert(plain.end(), frame->begin(), frame->end());
  };
  while (!control_.empty() && plain.size() < kWriteSize) take(control_, control_bytes_);
  while (!media_.empty() && plain.size() < kWriteSize) {
    take(media_, media_bytes_);
    ++stats_.media_frames_out;
  }
  if (media_.empty()) flush_due_ = false;
  stats_.frame_bytes_out += plain.size();
  hub_->encrypted.clear();
  if (!engine_->write(plain, hub_->encrypted)) {
    finish({CloseInfo::Reason::reset, "TLS: " + engine_->failure()});
    return false;
  }
  return send_encrypted();
}

void Link::say_goodbye() {
  if (goodbye_said_) return;
  goodbye_said_ = true;
  hub_->encrypted.clear();
  engine_->close(hub_->encrypted);
  if (send_encrypted()) end_sending(socket_);
}

/// Sends hub_->encrypted; what the kernel does not take becomes pending_. False: not all was taken.
bool Link::send_encrypted() {
  const Result<std::size_t> sent = send_some(socket_, hub_->encrypted);
  if (!sent) {
    on_send_error(sent.error());
    return false;
  }
  stats_.bytes_out += *sent;
  if (*sent == hub_->encrypted.size()) return true;
  pending_.assign(hub_->encrypted.begin() + static_cast<std::ptrdiff_t>(*sent),
                  hub_->encrypted.end());
  watch();
  return false;
}

/// True: nothing is pending any more.
bool Link::send_pending() {
  const ByteView rest = ByteView{pending_}.subspan(pending_sent_);
  const Result<std::size_t> sent =
      rest.empty() ? Result<std::size_t>{std::size_t{0}} : send_some(socket_, rest);
  if (!sent) {
    on_send_error(sent.error());
    return false;
  }
  stats_.bytes_out += *sent;
  pending_sent_ += *sent;
  if (*sent > 0) taken_at_ = async::Clock::now();
  if (pending_sent_ == pending_.size()) {
    pending_ = Bytes{};
    pending_sent_ = 0;
    if (goodbye_said_) end_sending(socket_);
  }
  watch();
  return pending_.empty();
}

/// The peer may have said why it went: what it sent last is still there to be read.
void Link::on_send_error(const error_code& ec) {
  receive();
  if (phase_ != Phase::finished) on_peer_end(CloseInfo::Reason::reset, ec.message());
}

void Link::watch() {
  const bool output = !pending_.empty();
  if (!watched_ || output == watching_output_) return;
  watching_output_ = output;
  if (output) taken_at_ = async::Clock::now();
  hub_->poller->modify(socket_.get(), *this, wanted_events());
}

std::uint32_t Link::wanted_events() const {
  std::uint32_t events = 0;
  if (reading_) events |= EPOLLIN;
  if (watching_output_) events |= EPOLLOUT;
  return events;
}

void Link::finish(CloseInfo info) {
  if (phase_ == Phase::finished) return;
  phase_ = Phase::finished;
  if (watched_) hub_->poller->remove(socket_.get(), *this);
  watched_ = false;
  socket_.reset();
  --hub_->session_count;
  control_.clear();
  media_.clear();
  pending_ = Bytes{};
  control_bytes_ = media_bytes_ = pending_sent_ = 0;
  SessionHandler* const handler = std::exchange(handler_, nullptr);
  if (handler != nullptr) handler->on_closed(info);
}

}  // namespace tayga::transport::tls
