#include "common/async/clock.hpp"
#include "common/base/bytes.hpp"
#include "tests/support/emulator_thread.hpp"
#include "tests/support/link_emulator.hpp"

#include <boost/asio/ip/udp.hpp>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <map>
#include <optional>
#include <queue>
#include <system_error>
#include <utility>
#include <vector>

namespace tayga::test {
namespace {

using boost::asio::ip::udp;

constexpr std::size_t kBatch = 64;            // packets a system call
constexpr std::size_t kDatagramMax = 65'536;  // of a peer without segment offload
constexpr int kReadsPerWake = 16;
constexpr int kSocketBuffer = 8 * 1024 * 1024;
constexpr std::uint64_t kListenTag = UINT64_MAX - 1;

OwnedFd make_socket(const udp& protocol) {
  OwnedFd socket{::socket(protocol.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!socket) throw std::system_error{errno, std::generic_category(), "UDP socket"};
  for (const int option : {SO_RCVBUF, SO_SNDBUF}) {  // refused: what the system gives
    (void)::setsockopt(socket.get(), SOL_SOCKET, option, &kSocketBuffer, sizeof kSocketBuffer);
  }
  return socket;
}

TimePoint blackhole_end(PathState state) {
  return state == PathState::open ? TimePoint::min() : TimePoint::max();
}

struct Packet {
  TimePoint at;
  std::uint64_t order = 0;  // of those at the same time
  std::size_t flow = 0;
  Direction direction = Direction::to_server;
  Bytes bytes;
};
struct Later {
  bool operator()(const Packet& a, const Packet& b) const {
    return std::pair{a.at, a.order} > std::pair{b.at, b.order};
  }
};

/// Packets read by one recvmmsg.
class ReceiveBatch {
 public:
  ReceiveBatch() : memory_(kBatch * kDatagramMax) {}

  int read(int fd) {
    for (std::size_t i = 0; i < kBatch; ++i) {
      parts_[i] = {memory_.data() + i * kDatagramMax, kDatagramMax};
      heads_[i] = {};
      heads_[i].msg_hdr.msg_name = &from_[i];
      heads_[i].msg_hdr.msg_namelen = sizeof from_[i];
      heads_[i].msg_hdr.msg_iov = &parts_[i];
      heads_[i].msg_hdr.msg_iovlen = 1;
    }
    return ::recvmmsg(fd, heads_.data(), kBatch, MSG_DONTWAIT, nullptr);
  }
  [[nodiscard]] ByteView packet(std::size_t i) const {
    return ByteView{memory_}.subspan(i * kDatagramMax, heads_[i].msg_len);
  }
  [[nodiscard]] udp::endpoint from(std::size_t i) const {
    udp::endpoint endpoint;
    endpoint.resize(heads_[i].msg_hdr.msg_namelen);
    std::copy_n(reinterpret_cast<const std::byte*>(&from_[i]), endpoint.size(),
                reinterpret_cast<std::byte*>(endpoint.data()));
    return endpoint;
  }

 private:
  Bytes memory_;
  std::array<iovec, kBatch> parts_{};
  std::array<mmsghdr, kBatch> heads_{};
  std::array<sockaddr_storage, kBatch> from_{};
};

}  // namespace

class UdpLinkEmulator::Impl {
 public:
  explicit Impl(const EmulatedLink& link)
      : server_{link.server.address, link.server.port},
        listener_{make_socket(server_.protocol())},
        to_server_{link.to_server, link.seed},
        to_client_{link.to_client, link.seed ^ 0x9e3779b97f4a7c15ULL} {
    udp::endpoint local{server_.address(), 0};
    if (::bind(listener_.get(), local.data(), static_cast<socklen_t>(local.size())) != 0) {
      throw std::system_error{errno, std::generic_category(), "bind"};
    }
    auto size = static_cast<socklen_t>(local.capacity());
    (void)::getsockname(listener_.get(), local.data(), &size);
    endpoint_ = {local.address(), local.port()};
    thread_.watch(listener_.get(), kListenTag, EPOLLIN);
    thread_.start({[this](std::uint64_t tag, std::uint32_t) { on_readable(tag); },
                   [this] { return send_due(); }});
  }
  ~Impl() { thread_.stop(); }

  [[nodiscard]] const transport::Endpoint& endpoint() const { return endpoint_; }
  [[nodiscard]] Counters counters() const {
    return {forwarded_.load(), dropped_.load(), bytes_to_server_.load(), bytes_to_client_.load()};
  }
  void set_shape(Direction direction, const LinkShape& shape) {
    thread_.run([&] { model(direction).set_shape(shape); });
  }
  void set_blackhole(TimePoint until) {
    thread_.run([&] { blackhole_until_.fill(until); });
  }
  void set_blackhole(Direction direction, TimePoint until) {
    thread_.run([&] { blackhole_until_[static_cast<std::size_t>(direction)] = until; });
  }
  void rebind() {
    thread_.run([&] {
      for (std::size_t i = 0; i < flows_.size(); ++i) connect(i);
    });
  }

 private:
  struct Flow {
    udp::endpoint client;
    OwnedFd upstream;
  };

  LinkModel& model(Direction direction) {
    return direction == Direction::to_server ? to_server_ : to_client_;
  }

  void connect(std::size_t flow) {
    OwnedFd socket = make_socket(server_.protocol());
    if (::connect(socket.get(), server_.data(), static_cast<socklen_t>(server_.size())) != 0) {
      throw std::system_error{errno, std::generic_category(), "connect"};
    }
    thread_.watch(socket.get(), flow, EPOLLIN);
    flows_[flow].upstream = std::move(socket);  // the old one leaves the epoll as it is closed
  }

  std::optional<std::size_t> flow_of(const udp::endpoint& client) {
    if (const auto found = by_client_.find(client); found != by_client_.end()) {
      return found->second;
    }
    if (flows_.size() == kFlowsMax) return std::nullopt;
    const std::size_t flow = flows_.size();
    flows_.push_back({client, {}});
    by_client_.emplace(client, flow);
    connect(flow);
    return flow;
  }

  void on_readable(std::uint64_t tag) {
    const bool from_client = tag == kListenTag;
    const int fd = from_client ? listener_.get() : flows_[tag].upstream.get();
    for (int round = 0; round < kReadsPerWake; ++round) {
      const int count = batch_.read(fd);
      if (count <= 0) return;
      const TimePoint now = async::Clock::now();
      for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
        const auto flow = from_client ? flow_of(batch_.from(i)) : std::optional<std::size_t>{tag};
        if (!flow) {
          ++dropped_;
          continue;
        }
        take(*flow, from_client ? Direction::to_server : Direction::to_client, batch_.packet(i),
             now);
      }
      if (static_cast<std::size_t>(count) < kBatch) return;
    }
  }

  void take(std::size_t flow, Direction direction, ByteView packet, TimePoint now) {
    const bool blackholed = now < blackhole_until_[static_cast<std::size_t>(direction)];
    if (packet.empty() || blackholed || held_.size() >= kHeldPacketsMax) {
      ++dropped_;
      return;
    }
    const PacketFate fate = model(direction).on_packet(packet.size(), now);
    if (fate.count == 0) ++dropped_;
    for (std::size_t i = 0; i < fate.count; ++i) {
      const PacketFate::Arrival& arrival = fate.arrivals[i];
      Packet held{arrival.at, next_order_++, flow, direction, {packet.begin(), packet.end()}};
      if (arrival.flipped_bit) {
        held.bytes[*arrival.flipped_bit / 8] ^= std::byte{1} << (*arrival.flipped_bit % 8);
      }
      held_.push(std::move(held));
    }
  }

  std::optional<TimePoint> send_due() {
    const TimePoint now = async::Clock::now();
    due_.clear();
    while (!held_.empty() && held_.top().at <= now) {
      due_.push_back(std::move(const_cast<Packet&>(held_.top())));  // popped at once: no order lost
      held_.pop();
    }
    for (std::size_t first = 0; first < due_.size();) first = send_run(first);
    if (held_.empty()) return std::nullopt;
    return held_.top().at;
  }

  [[nodiscard]] int socket_of(const Packet& packet) const {
    return packet.direction == Direction::to_client ? listener_.get()
                                                    : flows_[packet.flow].upstream.get();
  }

  /// Sends those in a row that leave by one socket; returns the place behind them.
  std::size_t send_run(std::size_t first) {
    const int fd = socket_of(due_[first]);
    std::size_t count = 0;
    while (first + count < due_.size() && count < kBatch && socket_of(due_[first + count]) == fd) {
      Packet& packet = due_[first + count];
      msghdr& head = send_heads_[count].msg_hdr;
      head = {};
      if (packet.direction == Direction::to_client) {
        udp::endpoint& client = flows_[packet.flow].client;
        head.msg_name = client.data();
        head.msg_namelen = static_cast<socklen_t>(client.size());
      }
      send_parts_[count] = {packet.bytes.data(), packet.bytes.size()};
      head.msg_iov = &send_parts_[count];
      head.msg_iovlen = 1;
      ++count;
    }
    for (std::size_t sent = 0; sent < count;) {
      const int now = ::sendmmsg(fd, send_heads_.data() + sent, static_cast<unsigned>(count - sent),
                                 MSG_DONTWAIT);
      if (now > 0) {
        for (int i = 0; i < now; ++i) count_sent(due_[first + sent++]);
      } else {  // full, or the port is closed: that packet is lost, as on a real link
        ++sent;
        ++dropped_;
      }
    }
    return first + count;
  }

  void count_sent(const Packet& packet) {
    ++forwarded_;
    auto& bytes = packet.direction == Direction::to_server ? bytes_to_server_ : bytes_to_client_;
    bytes += packet.bytes.size();
  }

  const udp::endpoint server_;
  OwnedFd listener_;
  transport::Endpoint endpoint_;
  LinkModel to_server_;
  LinkModel to_client_;
  std::array<TimePoint, 2> blackhole_until_{};  // by direction
  std::vector<Flow> flows_;                     // only grows
  std::map<udp::endpoint, std::size_t> by_client_;
  std::priority_queue<Packet, std::vector<Packet>, Later> held_;
  std::uint64_t next_order_ = 0;
  std::vector<Packet> due_;
  ReceiveBatch batch_;
  std::array<mmsghdr, kBatch> send_heads_{};
  std::array<iovec, kBatch> send_parts_{};
  std::atomic<std::uint64_t> forwarded_{0};
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<std::uint64_t> bytes_to_server_{0};
  std::atomic<std::uint64_t> bytes_to_client_{0};
  EmulatorThread thread_;
};

UdpLinkEmulator::UdpLinkEmulator(const EmulatedLink& link) : impl_{std::make_unique<Impl>(link)} {}
UdpLinkEmulator::~UdpLinkEmulator() = default;
transport::Endpoint UdpLinkEmulator::endpoint() const {
  return impl_->endpoint();
}
UdpLinkEmulator::Counters UdpLinkEmulator::counters() const {
  return impl_->counters();
}
void UdpLinkEmulator::set_shape(Direction direction, const LinkShape& shape) {
  impl_->set_shape(direction, shape);
}
void UdpLinkEmulator::set_path(PathState state) {
  impl_->set_blackhole(blackhole_end(state));
}
void UdpLinkEmulator::set_path(Direction direction, PathState state) {
  impl_->set_blackhole(direction, blackhole_end(state));
}
void UdpLinkEmulator::blackhole_for(Duration time) {
  impl_->set_blackhole(async::Clock::now() + time);
}
void UdpLinkEmulator::rebind() {
  impl_->rebind();
}

}  // namespace tayga::test
