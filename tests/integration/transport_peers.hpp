#pragma once

#include "common/async/task_group.hpp"
#include "common/crypto/ed25519.hpp"
#include "common/transport/quic/quic_transport.hpp"
#include "common/transport/tls/tls_transport.hpp"
#include "tests/support/catch.hpp"

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

namespace tayga::transport {

// Each session test is built twice, once for each kind: both must behave alike.
#ifdef TAYGA_TEST_QUIC
using Options = quic::QuicOptions;
inline constexpr Kind kKindUnderTest = Kind::quic;
#else
using Options = tls::TlsOptions;
inline constexpr Kind kKindUnderTest = Kind::tcp;
#endif

inline std::unique_ptr<Transport> make_transport(boost::asio::io_context& io,
                                                 const crypto::SigningKey& key,
                                                 const tls::TlsOptions& options) {
  return tls::make_tls_transport(io.get_executor(), key, options);
}
inline std::unique_ptr<Transport> make_transport(boost::asio::io_context& io,
                                                 const crypto::SigningKey& key,
                                                 const quic::QuicOptions& options) {
  return quic::make_quic_transport(io.get_executor(), key, options);
}

inline Endpoint loopback(std::uint16_t port = 0) {
  return {boost::asio::ip::address_v4::loopback(), port};
}

inline SharedBytes make_frame(wire::FrameType type, ByteView payload) {
  return std::make_shared<const Bytes>(wire::serialize_frame(type, payload));
}

/// A media frame whose first bytes are its number, and the rest too as far as a byte goes.
inline OutboundMedia numbered_media(std::uint32_t number, std::size_t size = 4096) {
  Bytes payload(size, static_cast<std::byte>(number));
  std::memcpy(payload.data(), &number, sizeof number);
  return {{}, make_frame(wire::FrameType::chunk, payload)};
}

inline SharedBytes numbered_control(std::uint32_t number, std::size_t size = sizeof number) {
  Bytes payload(size);
  std::memcpy(payload.data(), &number, sizeof number);
  return make_frame(wire::FrameType::control, payload);
}

inline std::vector<std::uint32_t> first_numbers(std::size_t count) {
  std::vector<std::uint32_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0U);
  return numbers;
}

/// Runs the context until `done` or 20 s; what it returns is whether `done` held.
inline bool run_until(boost::asio::io_context& io, const std::function<bool()>& done,
                      Duration limit = 20s) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    io.restart();
    io.run_one_for(std::chrono::milliseconds{10});
  }
  return true;
}

/// Lets everything happen that happens by itself within `time`.
inline void run_for(boost::asio::io_context& io, Duration time) {
  (void)run_until(
      io, [] { return false; }, time);
}

/// A handler that keeps what it was told and gives the media it was given.
struct Recorder : SessionHandler {
  using Frame = std::pair<wire::FrameType, Bytes>;

  std::vector<Frame> frames;
  std::deque<OutboundMedia> media;
  std::size_t media_pulled = 0;
  std::optional<CloseInfo> closed;
  std::function<void()> then_on_frame;
  std::function<void()> then_on_closed;
  std::function<void()> then_on_pull;

  void on_frame(wire::FrameType type, ByteView payload) override {
    frames.emplace_back(type, Bytes(payload.begin(), payload.end()));
    if (then_on_frame) then_on_frame();
  }
  std::optional<OutboundMedia> next_media() override {
    if (then_on_pull) then_on_pull();
    if (media.empty()) return std::nullopt;
    OutboundMedia next = std::move(media.front());
    media.pop_front();
    ++media_pulled;
    return next;
  }
  void on_closed(const CloseInfo& info) override {
    REQUIRE_FALSE(closed);
    closed = info;
    if (then_on_closed) then_on_closed();
  }
};

/// The numbers of the frames that came, of one type or of all.
inline std::vector<std::uint32_t> numbers_of(const Recorder& events,
                                             std::optional<wire::FrameType> type = std::nullopt) {
  std::vector<std::uint32_t> numbers;
  for (const auto& [frame_type, payload] : events.frames) {
    if (type && frame_type != *type) continue;
    std::uint32_t number = 0;
    std::memcpy(&number, payload.data(), sizeof number);
    numbers.push_back(number);
  }
  return numbers;
}

/// What every node has, whatever its transport lives on: a key, a transport, and the sessions that
/// others opened to it.
struct NodeBase {
  explicit NodeBase(boost::asio::io_context& context)
      : io{context}, dials{context.get_executor(), "dials", 64} {}

  Endpoint listen() {
    const auto bound = transport->listen(
        loopback(), [this](std::unique_ptr<Session> s) { accepted.push_back(std::move(s)); });
    REQUIRE(bound.has_value());
    return *bound;
  }

  /// Dials to the end; other nodes of the same context run meanwhile.
  Result<std::unique_ptr<Session>> dial(const Endpoint& remote, const NodeId& expected,
                                        Duration timeout = 10s) {
    std::optional<Result<std::unique_ptr<Session>>> result;
    const auto store = [](auto connect, auto& out) -> async::Task<void> {
      out.emplace(co_await std::move(connect));
    };
    REQUIRE(dials.spawn(store(transport->connect(remote, expected, timeout), result)));
    REQUIRE(run_until(io, [&] { return result.has_value(); }));
    return std::move(*result);
  }

  NodeId id() const { return key.node_id(); }

  boost::asio::io_context& io;
  crypto::SigningKey key = crypto::SigningKey::generate();
  std::unique_ptr<Transport> transport;
  async::TaskGroup dials;
  std::vector<std::unique_ptr<Session>> accepted;
};

/// A node whose sessions live on the test's own thread.
struct Node : NodeBase {
  explicit Node(boost::asio::io_context& context) : Node{context, Options{}} {}
  template <class KindOptions>
  Node(boost::asio::io_context& context, const KindOptions& options) : NodeBase{context} {
    transport = make_transport(context, key, options);
  }
  ~Node() {
    dials.cancel();
    transport->stop();
    io.restart();
    io.poll();
  }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
};

/// Two nodes with one started session between them.
struct Pair {
  explicit Pair(const Options& options = {}) : server{io, options}, client{io, options} {
    auto result = client.dial(server.listen(), server.id());
    REQUIRE(result.has_value());
    near = std::move(*result);
    REQUIRE(run_until(io, [&] { return !server.accepted.empty(); }));
    far = std::move(server.accepted.front());
    server.accepted.clear();
  }
  void start() {
    near->start(near_events);
    far->start(far_events);
  }

  boost::asio::io_context io;
  Node server;
  Node client;
  Recorder near_events;
  Recorder far_events;
  std::unique_ptr<Session> near;  // the dialer's
  std::unique_ptr<Session> far;   // the acceptor's
};

}  // namespace tayga::transport
