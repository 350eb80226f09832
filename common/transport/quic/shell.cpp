#include "common/transport/quic/shell.hpp"

#include "common/log/log.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>

namespace tayga::transport::quic {
namespace {

using async::Clock;
using boost::asio::posix::stream_descriptor;

/// Of packets, then of writes, before other work of the executor gets its turn.
constexpr int kReceivesPerWake = 4;
constexpr Duration kDrainSlice = 1ms;
/// Sockets that dials have left from; the oldest is closed beyond that.
constexpr std::size_t kDialSocketsMax = 4;

ConnectionTable::Options table_options(const QuicOptions& options, const SharedSecrets& secrets) {
  ConnectionTable::Options result;
  result.connection.handshake_timeout = options.handshake_timeout;
  result.connection.idle_max = options.idle_max;
  result.connection.keep_alive = options.keep_alive;
  result.connection.stall_max = options.stall_max;
  result.connection.flush_bytes = options.flush_bytes;
  result.connection.udp_payload_max = options.udp_payload_max;
  result.connection.use_cubic = options.congestion_control == CongestionControl::cubic;
  result.connection.key_update_packets = options.key_update_packets;
  result.sessions_max = options.sessions_max;
  result.half_open_max = options.half_open_max;
  result.half_open_per_prefix_max = options.half_open_per_prefix_max;
  result.handshakes_per_prefix = options.handshakes_per_prefix;
  result.retry_above = options.retry_above;
  result.worker = options.place.index;
  result.worker_count = std::max(1U, options.place.count);
  result.token_key = secrets.token_key;
  result.reset_key = secrets.reset_key;
  return result;
}

class QuicSession final : public Session {
 public:
  QuicSession(std::shared_ptr<Shell> shell, std::shared_ptr<Connection> connection)
      : shell_{std::move(shell)}, connection_{std::move(connection)} {}
  ~QuicSession() override { connection_->abandon(); }
  QuicSession(const QuicSession&) = delete;
  QuicSession& operator=(const QuicSession&) = delete;

  void start(SessionHandler& handler) override { connection_->start(handler); }
  void send_control(SharedBytes frame) override { connection_->send_control(std::move(frame)); }
  void notify_media() override { connection_->notify_media(); }
  void close(std::string reason) override { connection_->close(std::move(reason)); }
  void set_reading(Reading reading) override { connection_->set_reading(reading); }
  [[nodiscard]] const NodeId& peer() const noexcept override { return connection_->peer(); }
  [[nodiscard]] Kind kind() const noexcept override { return Kind::quic; }
  [[nodiscard]] Side side() const noexcept override { return connection_->side(); }
  [[nodiscard]] Endpoint remote_endpoint() const override { return connection_->remote_endpoint(); }
  [[nodiscard]] SessionStats stats() const override { return connection_->stats(); }

 private:
  const std::shared_ptr<Shell> shell_;  // outlives the connection
  const std::shared_ptr<Connection> connection_;
};

}  // namespace

std::unique_ptr<Session> make_session(std::shared_ptr<Shell> shell,
                                      std::shared_ptr<Connection> connection) {
  return std::make_unique<QuicSession>(std::move(shell), std::move(connection));
}

Shell::Shell(boost::asio::any_io_executor executor, const crypto::SigningKey& identity,
             const QuicOptions& options)
    : executor_{std::move(executor)},
      options_{options},
      secrets_{options.secrets ? options.secrets : make_shared_secrets(identity)},
      pacer_{options.flush_delay},
      timer_{executor_},
      table_{table_options(options, *secrets_), make_credentials(identity, secrets_->ticket_key),
             sender_, *this} {
  set_flush_delay();
  sender_.set_find_socket([this](const UdpPath& path) { return find_socket(path); });
}

Shell::~Shell() {
  in_turn_ = true;  // nothing is scheduled any more
  table_.close_all(async::Clock::now());
  sender_.flush();
}

// Sockets.

Result<Port*> Shell::open_port(const Endpoint& local, bool listening) {
  UdpSocketOptions options{options_.socket_buffer, options_.segment_offload, 0};
  if (listening && options_.place.count > 1) {
    if (options_.place.index == 0) {
      // A group would take in another daemon's sockets, and it ours: the first of us makes sure
      // that nobody is there.
      const auto alone = UdpSocket::open(local, options);
      if (!alone) return alone.error();
    }
    options.group_size = options_.place.count;
  }
  auto socket = UdpSocket::open(local, options);
  if (!socket) return socket.error();
  if ((*socket)->buffer_granted() < options_.socket_buffer) {
    static log::SiteLimit once{1, 24h};
    log::at(once, log::Level::warn,
            "the system grants smaller UDP buffers than asked for, bursts may be lost: raise "
            "net.core.rmem_max and net.core.wmem_max",
            log::field("asked_bytes", options_.socket_buffer),
            log::field("granted_bytes", (*socket)->buffer_granted()));
  }
  ports_.push_back(std::make_unique<Port>(executor_, std::move(*socket)));
  Port& port = *ports_.back();
  port.listening = listening;
  wait_readable(port);
  return &port;
}

Result<Endpoint> Shell::listen(const Endpoint& local, Transport::AcceptHandler on_accept) {
  const Result<Port*> opened = open_port(local, true);
  if (!opened) {
    log::debug("cannot listen", log::field("local", to_string(local)),
               log::field("why", opened.error()));
    const bool in_use = opened.error() == boost::asio::error::address_in_use;
    return in_use ? TransportErrc::address_in_use : TransportErrc::listen_failed;
  }
  const Endpoint bound = (*opened)->socket->local().endpoint();
  if (local.address.is_v6() && local.address.is_unspecified()) {
    // All addresses: IPv4 has a socket of its own, where the system has IPv4.
    const Endpoint v4{boost::asio::ip::address_v4::any(), bound.port};
    const Result<Port*> also = open_port(v4, true);
    if (!also && also.error() == boost::asio::error::address_in_use) {
      return TransportErrc::address_in_use;
    }
  }
  on_accept_ = std::move(on_accept);
  table_.set_accepting(true);
  return bound;
}

void Shell::stop() {
  table_.set_accepting(false);
  on_accept_ = nullptr;
  stopped_ = true;
  rest_if_done();
}

/// Stopped and without connections: nothing keeps the executor busy.
void Shell::rest_if_done() {
  if (!is_done()) return;
  timer_.cancel();
  for (const auto& port : ports_) port->waiter.cancel();
}

UdpSocket* Shell::find_socket(const UdpPath& path) {
  for (const auto& port : ports_) {
    const UdpAddress& local = port->socket->local();
    if (local.port() != path.local.port() || local.is_v6() != path.local.is_v6()) continue;
    if (port->socket->is_wildcard() || local == path.local) return port->socket.get();
  }
  return nullptr;
}

/// The socket that a dial leaves from: the listening one where it can, for NATs' sake.
Result<Port*> Shell::port_for(const Endpoint& remote) {
  const bool v6 = remote.address.is_v6();
  boost::asio::ip::address source =
      v6 ? boost::asio::ip::address{boost::asio::ip::address_v6::any()}
         : boost::asio::ip::address_v4::any();
  if (options_.source_address && options_.source_address->is_v6() == v6) {
    source = *options_.source_address;
  }
  for (const auto& port : ports_) {
    const Endpoint local = port->socket->local().endpoint();
    if (local.address.is_v6() != v6) continue;
    if (local.address == source) return port.get();
    const bool reaches = local.address.is_loopback() == remote.address.is_loopback();
    if (!options_.source_address && port->listening && reaches) return port.get();
  }
  return open_port({source, 0}, false);
}

Result<void> Shell::rebind() {
  bool v4 = false;
  bool v6 = false;
  for (const auto& port : ports_) (port->socket->local().is_v6() ? v6 : v4) = true;
  for (const bool six : {false, true}) {
    if (!(six ? v6 : v4)) continue;
    boost::asio::ip::address any = boost::asio::ip::address_v4::any();
    if (six) any = boost::asio::ip::address_v6::any();
    const Result<Port*> opened = open_port({any, 0}, false);
    if (!opened) return opened.error();
    table_.migrate_dialed((*opened)->socket->local(), Clock::now());
  }
  trim_dial_ports();
  return {};
}

void Shell::trim_dial_ports() {
  auto dialing = std::count_if(ports_.begin(), ports_.end(),
                               [](const auto& port) { return !port->listening; });
  for (auto i = ports_.begin(); i != ports_.end() && dialing > std::ptrdiff_t{kDialSocketsMax};) {
    if ((*i)->listening) {
      ++i;
      continue;
    }
    sender_.forget(*(*i)->socket);
    i = ports_.erase(i);
    --dialing;
  }
}

// Turns.

void Shell::wait_readable(Port& port) {
  if (is_done()) return;
  port.waiter.async_wait(
      stream_descriptor::wait_read,
      [weak = weak_from_this(), socket = port.socket.get()](const error_code& ec) {
        const auto self = weak.lock();
        if (self && !ec) self->on_readable(socket);
      });
}

void Shell::on_readable(const UdpSocket* socket) {
  const auto is_it = [socket](const auto& port) { return port->socket.get() == socket; };
  for (int i = 0; i < kReceivesPerWake; ++i) {
    in_turn_ = true;
    const TimePoint now = Clock::now();
    const std::size_t count = receiver_.receive(
        *socket,
        [this, now](const UdpPath& path, ByteView packet) { table_.on_packet(path, packet, now); });
    in_turn_ = false;
    run_drain();
    if (std::none_of(ports_.begin(), ports_.end(), is_it)) return;  // closed meanwhile
    if (count < UdpReceiver::kBatch) break;
  }
  wait_readable(**std::find_if(ports_.begin(), ports_.end(), is_it));
}

void Shell::wants_drain() {
  if (in_turn_ || drain_posted_) return;
  drain_posted_ = true;
  boost::asio::post(executor_, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->drain_posted_ = false;
    self->run_drain();
  });
}

void Shell::run_drain() {
  const TimePoint begin = Clock::now();
  sample_load(begin);
  in_turn_ = true;
  bool more = true;
  for (TimePoint now = begin; more && now - begin < kDrainSlice; now = Clock::now()) {
    more = table_.drain(now);
  }
  sender_.flush();
  in_turn_ = false;
  if (sender_.blocked()) {
    wait_writable();
  } else if (more) {
    wants_drain();
  }
  arm_timer();
  rest_if_done();
}

void Shell::wait_writable() {
  if (waiting_writable_) return;
  const UdpSocket* const blocked = sender_.blocked_socket();
  const auto port = std::find_if(ports_.begin(), ports_.end(),
                                 [&](const auto& p) { return p->socket.get() == blocked; });
  if (port == ports_.end()) return;
  waiting_writable_ = true;
  (*port)->waiter.async_wait(stream_descriptor::wait_write,
                             [weak = weak_from_this()](const error_code&) {
                               const auto self = weak.lock();
                               if (!self) return;
                               self->waiting_writable_ = false;
                               self->sender_.flush();
                               self->run_drain();
                             });
}

void Shell::arm_timer() {
  const TimePoint next = table_.next_timeout();
  // An early wake-up costs less than arming anew at every packet: only an earlier instant does.
  if (next == TimePoint::max() || is_done() || (armed_ && *armed_ <= next)) return;
  armed_ = next;
  timer_.expires_at(Clock::to_steady(next));
  timer_.async_wait([weak = weak_from_this()](const error_code& ec) {
    const auto self = weak.lock();
    if (self && !ec) self->on_timer();
  });
}

void Shell::on_timer() {
  armed_.reset();
  in_turn_ = true;
  table_.on_timeout(Clock::now());
  in_turn_ = false;
  run_drain();
}

void Shell::sample_load(TimePoint now) {
  if (!pacer_.wants_sample(now)) return;
  pacer_.on_sample(now, thread_clock_.read());
  set_flush_delay();
}

void Shell::set_flush_delay() {
  const bool follows_load = options_.flush_delay.min < options_.flush_delay.max;
  table_.set_flush_delay(pacer_.delay(), follows_load ? pacer_.delay() / 2 : Duration{0});
}

// Connections.

void Shell::on_accepted(std::shared_ptr<Connection> connection) {
  // A copy: the handler may replace or drop itself.
  const Transport::AcceptHandler on_accept = on_accept_;
  if (!on_accept) return connection->abandon();
  on_accept(make_session(shared_from_this(), std::move(connection)));
}

std::shared_ptr<Shell::Dial> Shell::dial(const Endpoint& remote, const NodeId& expected) {
  const Result<Port*> port = port_for(remote);
  if (!port) return nullptr;
  const UdpPath path{(*port)->socket->local(), UdpAddress::from(remote)};
  auto dial = std::make_shared<Dial>(executor_);
  dial->connection = table_.dial(path, expected, Clock::now());
  if (!dial->connection) return nullptr;
  dials_.emplace(dial->connection.get(), dial);
  return dial;
}

void Shell::forget_dial(const std::shared_ptr<Dial>& dial) {
  dials_.erase(dial->connection.get());
}

void Shell::on_dial_ended(Connection& connection) {
  const auto found = dials_.find(&connection);
  if (found != dials_.end()) found->second->ended.set();
}

void Shell::hand_over(unsigned worker, ByteView packet, const UdpPath& path) {
  if (options_.hand_over) {
    options_.hand_over(worker, make_shared_bytes(packet), path.remote.endpoint());
  }
}

void Shell::on_handed_over(const SharedBytes& datagram, const Endpoint& from) {
  const UdpAddress remote = UdpAddress::from(from);
  for (const auto& port : ports_) {
    if (!port->listening || port->socket->local().is_v6() != remote.is_v6()) continue;
    in_turn_ = true;
    table_.on_packet({port->socket->local(), remote}, *datagram, Clock::now());
    in_turn_ = false;
    return run_drain();
  }
}

}  // namespace tayga::transport::quic
