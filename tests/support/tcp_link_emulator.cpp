#include "common/async/clock.hpp"
#include "common/base/bytes.hpp"
#include "common/base/check.hpp"
#include "tests/support/emulator_thread.hpp"
#include "tests/support/link_emulator.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

namespace tayga::test {
namespace {

using boost::asio::ip::tcp;

constexpr std::size_t kReadSize = 16 * 1024;
constexpr std::size_t kAheadMax = 4 * 1024 * 1024;  // of a direction without a rate
constexpr std::size_t kAheadMin = 2 * kReadSize;
constexpr std::uint64_t kListenTag = UINT64_MAX - 1;

OwnedFd make_socket(const tcp& protocol) {
  OwnedFd socket{::socket(protocol.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!socket) throw std::system_error{errno, std::generic_category(), "TCP socket"};
  return socket;
}

/// What a stream's bytes meet: only delay and rate; the queue is bounded by Pipe::ahead_max().
LinkShape stream_shape(const LinkShape& shape) {
  LinkShape timing;
  timing.delay = shape.delay;
  timing.jitter = shape.jitter;
  timing.rate_bps = shape.rate_bps;
  timing.queue = std::chrono::hours{1};
  return timing;
}

/// Bytes on their way from one socket to another.
struct Pipe {
  struct Block {
    TimePoint at;
    Bytes bytes;  // empty: the end of the stream
  };
  Pipe(const LinkShape& link, std::uint64_t seed) : shape{link}, model{stream_shape(link), seed} {}
  void set_shape(const LinkShape& link) {
    shape = link;
    model.set_shape(stream_shape(link));
  }

  LinkShape shape;
  LinkModel model;
  std::deque<Block> blocks;
  std::size_t held = 0;
  std::size_t front_sent = 0;
  bool ended = false;   // read its end
  bool closed = false;  // passed it on

  /// How much may be on its way: what the delay holds at this rate, and the queue.
  [[nodiscard]] std::size_t ahead_max() const {
    if (shape.rate_bps == 0) return kAheadMax;
    const auto time = shape.delay + shape.jitter + shape.queue;
    const double bytes =
        static_cast<double>(shape.rate_bps) / 8 * std::chrono::duration<double>(time).count();
    return std::clamp(static_cast<std::size_t>(bytes), kAheadMin, kAheadMax);
  }
};

struct Connection {
  OwnedFd client;
  OwnedFd server;
  Pipe to_server;
  Pipe to_client;
  bool broken = false;
  std::uint32_t client_events = 0;  // what the epoll watches
  std::uint32_t server_events = 0;
};

}  // namespace

class TcpLinkEmulator::Impl {
 public:
  explicit Impl(const EmulatedLink& link)
      : link_{link},
        server_{link.server.address, link.server.port},
        listener_{make_socket(server_.protocol())} {
    tcp::endpoint local{server_.address(), 0};
    if (::bind(listener_.get(), local.data(), static_cast<socklen_t>(local.size())) != 0 ||
        ::listen(listener_.get(), SOMAXCONN) != 0) {
      throw std::system_error{errno, std::generic_category(), "listen"};
    }
    auto size = static_cast<socklen_t>(local.capacity());
    (void)::getsockname(listener_.get(), local.data(), &size);
    endpoint_ = {local.address(), local.port()};
    thread_.watch(listener_.get(), kListenTag, EPOLLIN);
    thread_.start({[this](std::uint64_t tag, std::uint32_t events) { on_event(tag, events); },
                   [this] { return on_time(); }});
  }
  ~Impl() { thread_.stop(); }

  [[nodiscard]] const transport::Endpoint& endpoint() const { return endpoint_; }
  void set_shape(Direction direction, const LinkShape& shape) {
    thread_.run([&] {
      (direction == Direction::to_server ? link_.to_server : link_.to_client) = shape;
      for (auto& [tag, connection] : connections_) {
        pipe(*connection, direction).set_shape(shape);
      }
    });
  }
  void set_path(PathState state) {
    thread_.run([&] { path_.fill(state); });
  }
  void set_path(Direction direction, PathState state) {
    thread_.run([&] { path_[static_cast<std::size_t>(direction)] = state; });
  }
  void reset_all() {
    thread_.run([&] {
      const linger hard{1, 0};
      for (auto& [tag, connection] : connections_) {
        for (const int fd : {connection->client.get(), connection->server.get()}) {
          (void)::setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        }
      }
      connections_.clear();
    });
  }

 private:
  static Pipe& pipe(Connection& connection, Direction direction) {
    return direction == Direction::to_server ? connection.to_server : connection.to_client;
  }

  [[nodiscard]] bool is_open(Direction direction) const {
    return path_[static_cast<std::size_t>(direction)] == PathState::open;
  }

  void on_event(std::uint64_t tag, std::uint32_t events) {
    if (tag == kListenTag) return accept_all();
    const auto found = connections_.find(tag & ~std::uint64_t{1});
    if (found == connections_.end()) return;  // closed earlier in the same turn
    Connection& connection = *found->second;
    const bool from_client = (tag & 1U) == 0;
    const bool open = is_open(from_client ? Direction::to_server : Direction::to_client);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && open) {
      read(from_client ? connection.client : connection.server,
           from_client ? connection.to_server : connection.to_client, connection);
    }
  }

  void accept_all() {
    for (;;) {
      OwnedFd client{::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
      if (!client) return;
      if (connections_.size() >= kConnectionsMax) continue;  // closed at once
      OwnedFd upstream = make_socket(server_.protocol());
      const int one = 1;
      for (const int fd : {client.get(), upstream.get()}) {
        (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      }
      if (::connect(upstream.get(), server_.data(), static_cast<socklen_t>(server_.size())) != 0 &&
          errno != EINPROGRESS) {
        continue;
      }
      const std::uint64_t tag = next_tag_;
      next_tag_ += 2;
      auto connection = std::make_unique<Connection>(Connection{
          std::move(client), std::move(upstream), Pipe{link_.to_server, link_.seed + tag},
          Pipe{link_.to_client, ~(link_.seed + tag)}});
      thread_.watch(connection->client.get(), tag, 0);
      thread_.watch(connection->server.get(), tag + 1, 0);
      connections_.emplace(tag, std::move(connection));
    }
  }

  void read(const OwnedFd& from, Pipe& into, Connection& connection) {
    while (!into.ended && into.held < into.ahead_max()) {
      const auto count = ::recv(from.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      if (count < 0) {
        connection.broken |= errno != EAGAIN && errno != EINTR && errno != ENOTCONN;
        return;
      }
      const auto size = static_cast<std::size_t>(count);
      const PacketFate fate =
          into.model.on_packet(std::max<std::size_t>(size, 1), async::Clock::now());
      TAYGA_CHECK(fate.count == 1);  // a stream loses nothing
      TimePoint at = fate.arrivals[0].at;
      if (!into.blocks.empty()) at = std::max(at, into.blocks.back().at);
      into.blocks.push_back({at, {buffer_.begin(), buffer_.begin() + count}});
      into.held += size;
      into.ended = size == 0;
    }
  }

  std::optional<TimePoint> on_time() {
    const TimePoint now = async::Clock::now();
    std::optional<TimePoint> next;
    for (auto it = connections_.begin(); it != connections_.end();) {
      Connection& connection = *it->second;
      for (const Direction direction : {Direction::to_server, Direction::to_client}) {
        if (!is_open(direction)) continue;
        Pipe& there = pipe(connection, direction);
        const bool to_server = direction == Direction::to_server;
        write(there, to_server ? connection.server : connection.client, now, connection);
        if (!there.blocks.empty() && there.blocks.front().at > now) {
          next = std::min(next.value_or(TimePoint::max()), there.blocks.front().at);
        }
      }
      if (connection.broken || (connection.to_server.closed && connection.to_client.closed)) {
        it = connections_.erase(it);
        continue;
      }
      update_watch(it->first, connection, now);
      ++it;
    }
    return next;
  }

  static void write(Pipe& pipe, const OwnedFd& to, TimePoint now, Connection& connection) {
    while (!pipe.blocks.empty() && pipe.blocks.front().at <= now) {
      Pipe::Block& front = pipe.blocks.front();
      if (front.bytes.empty()) {
        (void)::shutdown(to.get(), SHUT_WR);
        pipe.closed = true;
        pipe.blocks.pop_front();
        return;
      }
      const auto count = ::send(to.get(), front.bytes.data() + pipe.front_sent,
                                front.bytes.size() - pipe.front_sent, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (count < 0) {
        connection.broken |= errno != EAGAIN && errno != EINTR && errno != ENOTCONN;
        return;
      }
      pipe.front_sent += static_cast<std::size_t>(count);
      pipe.held -= static_cast<std::size_t>(count);
      if (pipe.front_sent < front.bytes.size()) return;
      pipe.front_sent = 0;
      pipe.blocks.pop_front();
    }
  }

  void update_watch(std::uint64_t tag, Connection& connection, TimePoint now) {
    const auto wanted = [&](Direction away, Direction back) {
      const Pipe& from = pipe(connection, away);
      const Pipe& to = pipe(connection, back);
      std::uint32_t events = EPOLLET;  // a hang-up of a stalled connection must not wake us again
      if (is_open(away) && !from.ended && from.held < from.ahead_max()) events |= EPOLLIN;
      if (is_open(back) && !to.blocks.empty() && to.blocks.front().at <= now) events |= EPOLLOUT;
      return events;
    };
    const std::uint32_t client = wanted(Direction::to_server, Direction::to_client);
    const std::uint32_t server = wanted(Direction::to_client, Direction::to_server);
    if (client != connection.client_events) thread_.rewatch(connection.client.get(), tag, client);
    if (server != connection.server_events) {
      thread_.rewatch(connection.server.get(), tag + 1, server);
    }
    connection.client_events = client;
    connection.server_events = server;
  }

  EmulatedLink link_;
  const tcp::endpoint server_;
  OwnedFd listener_;
  transport::Endpoint endpoint_;
  std::array<PathState, 2> path_{};  // by direction
  std::uint64_t next_tag_ = 0;       // even: the client's side; + 1: the server's
  std::map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  std::array<std::byte, kReadSize> buffer_{};
  EmulatorThread thread_;
};

TcpLinkEmulator::TcpLinkEmulator(const EmulatedLink& link) : impl_{std::make_unique<Impl>(link)} {}
TcpLinkEmulator::~TcpLinkEmulator() = default;
transport::Endpoint TcpLinkEmulator::endpoint() const {
  return impl_->endpoint();
}
void TcpLinkEmulator::set_shape(Direction direction, const LinkShape& shape) {
  impl_->set_shape(direction, shape);
}
void TcpLinkEmulator::set_path(PathState state) {
  impl_->set_path(state);
}
void TcpLinkEmulator::set_path(Direction direction, PathState state) {
  impl_->set_path(direction, state);
}
void TcpLinkEmulator::reset_all() {
  impl_->reset_all();
}

}  // namespace tayga::test
