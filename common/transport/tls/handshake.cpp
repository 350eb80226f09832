#include "common/transport/tls/handshake.hpp"

#include "common/log/log.hpp"

#include <boost/asio/error.hpp>

#include <array>

namespace tayga::transport::tls {
namespace {

constexpr std::size_t kReadSize = 8 * 1024;  // a whole flight, most often
constexpr int kReadsPerWake = 4;

}  // namespace

Handshake::Handshake(std::shared_ptr<Poller> poller, SSL_CTX* context, Peer peer,
                     TimePoint deadline)
    : poller_{std::move(poller)},
      engine_{std::make_unique<Engine>(context, peer.side, peer.expected)},
      peer_{std::move(peer)},
      deadline_{deadline},
      connected_{peer_.side == Side::acceptor} {}

Handshake::~Handshake() {
  if (watched_) poller_->remove(peer_.socket.get(), *this);
}

bool Handshake::start(Done done) {
  done_ = std::move(done);
  if (connected_) tune(peer_.socket);
  events_ = connected_ ? EPOLLIN : EPOLLOUT;
  watched_ = poller_->add(peer_.socket.get(), *this, events_);
  return watched_;
}

void Handshake::on_ready(std::uint32_t events) {
  const auto self = shared_from_this();
  if (!connected_) return on_connected();
  if ((events & EPOLLOUT) != 0 && !send_output()) return;
  if ((events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) receive();
}

void Handshake::on_tick(TimePoint now) {
  const auto self = shared_from_this();
  if (now >= deadline_) finish(TransportErrc::timed_out);
}

void Handshake::on_connected() {
  if (const error_code ec = connect_error(peer_.socket)) {
    log::debug("cannot connect", log::field("remote", to_string(peer_.remote)),
               log::field("why", ec));
    return finish(TransportErrc::connect_failed);
  }
  connected_ = true;
  tune(peer_.socket);
  (void)step({});
}

void Handshake::receive() {
  std::array<std::byte, kReadSize> buffer;
  for (int i = 0; i < kReadsPerWake; ++i) {
    const Result<std::size_t> got = receive_some(peer_.socket, buffer);
    if (!got && got.error() == boost::asio::error::would_block) return;
    if (!got || *got == 0) return finish(TransportErrc::handshake_failed);
    if (!step(ByteView{buffer}.first(*got))) return;
  }
}

bool Handshake::step(ByteView in) {
  const Engine::Status status = engine_->handshake(in, output_);
  const bool sent = send_output();
  if (!sent || status == Engine::Status::want_input) return sent;
  if (status == Engine::Status::ok) {
    finish_ok(in);
    return false;
  }
  log::debug("handshake refused", log::field("remote", to_string(peer_.remote)),
             log::field("why", engine_->failure()));
  finish(engine_->wrong_peer() ? TransportErrc::wrong_peer : TransportErrc::handshake_failed);
  return false;
}

bool Handshake::send_output() {
  const Result<std::size_t> sent =
      output_.empty() ? Result<std::size_t>{std::size_t{0}} : send_some(peer_.socket, output_);
  if (!sent) {
    finish(TransportErrc::handshake_failed);
    return false;
  }
  output_.erase(output_.begin(), output_.begin() + static_cast<std::ptrdiff_t>(*sent));
  watch(output_.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT);
  return true;
}

void Handshake::watch(std::uint32_t events) {
  if (!watched_ || events == events_) return;
  events_ = events;
  poller_->modify(peer_.socket.get(), *this, events);
}

void Handshake::finish_ok(ByteView rest) {
  // OpenSSL leaves both to us: a peer that offers no ALPN at all gets this far.
  if (!engine_->peer() || !engine_->has_peer_alpn()) {
    log::debug("handshake without tayga/1", log::field("remote", to_string(peer_.remote)));
    return finish(TransportErrc::handshake_failed);
  }
  poller_->remove(peer_.socket.get(), *this);
  watched_ = false;
  Established established{
      std::move(peer_.socket), std::move(engine_), Bytes(rest.begin(), rest.end()),
      std::move(output_),      peer_.side,         peer_.remote};
  finish(std::move(established));
}

void Handshake::finish(Result<Established> result) {
  if (watched_) poller_->remove(peer_.socket.get(), *this);
  watched_ = false;
  peer_.socket.reset();
  if (const Done done = std::exchange(done_, nullptr)) done(std::move(result));
}

}  // namespace tayga::transport::tls
