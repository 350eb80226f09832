#include "common/transport/quic/udp_socket.hpp"

#include "common/base/check.hpp"

#include <linux/filter.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef SO_ATTACH_REUSEPORT_CBPF
#define SO_ATTACH_REUSEPORT_CBPF 51
#endif

namespace tayga::transport::quic {
namespace {

constexpr std::size_t kArenaSize = 256 * 1024;
constexpr std::size_t kSegmentsMax = 64;      // the kernel's limit
constexpr std::size_t kSegmentedMax = 65000;  // bytes of one segmented datagram
constexpr std::size_t kSendRunMax = 64;       // messages of one system call
constexpr std::size_t kCoalescedMax = 64 * 1024;

error_code last_error() {
  return {errno, boost::system::system_category()};
}

bool set_int(int fd, int level, int name, int value) noexcept {
  return ::setsockopt(fd, level, name, &value, sizeof value) == 0;
}

/// Root may exceed the system's limit; others get what it allows.
void ask_buffer(int fd, int forced, int plain, std::size_t size) noexcept {
  const int value = static_cast<int>(size);
  if (!set_int(fd, SOL_SOCKET, forced, value)) set_int(fd, SOL_SOCKET, plain, value);
}

std::size_t granted(int fd, int name) noexcept {
  int value = 0;
  socklen_t size = sizeof value;
  if (::getsockopt(fd, SOL_SOCKET, name, &value, &size) != 0 || value < 0) return 0;
  return static_cast<std::size_t>(value) / 2;  // the kernel tells twice what it grants
}

/// Sends each packet to the socket of the group that its connection id's first byte names: offset 1
/// of a short header, 6 of a long one. Without it the kernel hashes addresses, and a peer whose
/// address changed arrives at the wrong one.
bool steer_by_connection_id(int fd, unsigned group_size) noexcept {
  std::array<sock_filter, 6> program = {{
      {BPF_LD | BPF_B | BPF_ABS, 0, 0, 0},
      {BPF_JMP | BPF_JSET | BPF_K, 0, 2, 0x80},
      {BPF_LD | BPF_B | BPF_ABS, 0, 0, 6},
      {BPF_JMP | BPF_JA, 0, 0, 1},
      {BPF_LD | BPF_B | BPF_ABS, 0, 0, 1},
      {BPF_ALU | BPF_MOD | BPF_K, 0, 0, group_size},
  }};
  std::array<sock_filter, 7> whole{};
  std::copy(program.begin(), program.end(), whole.begin());
  whole[6] = {BPF_RET | BPF_A, 0, 0, 0};
  const sock_fprog filter{static_cast<unsigned short>(whole.size()), whole.data()};
  return ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &filter, sizeof filter) == 0;
}

int open_fd(const UdpAddress& local) noexcept {
  const int fd =
      ::socket(local.is_v6() ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd >= 0 && local.is_v6()) set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  return fd;
}

}  // namespace

Result<std::unique_ptr<UdpSocket>> UdpSocket::open(const Endpoint& local,
                                                   const UdpSocketOptions& options) {
  const UdpAddress wanted = UdpAddress::from(local);
  const int fd = open_fd(wanted);
  if (fd < 0) return last_error();
  std::unique_ptr<UdpSocket> socket{new UdpSocket{fd, wanted}};
  if (options.group_size > 1) set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  if (::bind(fd, wanted.data(), wanted.size()) != 0) return last_error();
  UdpAddress bound = wanted;
  socklen_t size = bound.size();
  if (::getsockname(fd, bound.data(), &size) != 0) return last_error();
  socket->local_ = UdpAddress::from(bound.data(), size);
  socket->wildcard_ = bound.is_unspecified();
  socket->tune(options);
  return socket;
}

UdpSocket::~UdpSocket() {
  ::close(fd_);
}

void UdpSocket::tune(const UdpSocketOptions& options) {
  ask_buffer(fd_, SO_RCVBUFFORCE, SO_RCVBUF, options.buffer);
  ask_buffer(fd_, SO_SNDBUFFORCE, SO_SNDBUF, options.buffer);
  buffer_granted_ = std::min(granted(fd_, SO_RCVBUF), granted(fd_, SO_SNDBUF));
  // Our own path MTU discovery: never fragment, never believe an ICMP message.
  if (local_.is_v6()) {
    set_int(fd_, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
    if (wildcard_) set_int(fd_, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
  } else {
    set_int(fd_, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    if (wildcard_) set_int(fd_, IPPROTO_IP, IP_PKTINFO, 1);
  }
  if (options.segment_offload) {
    set_int(fd_, IPPROTO_UDP, UDP_GRO, 1);  // a kernel without it gives single packets
    int segment = 0;
    socklen_t size = sizeof segment;
    segments_ = ::getsockopt(fd_, IPPROTO_UDP, UDP_SEGMENT, &segment, &size) == 0;
  }
  if (options.group_size > 1) steer_by_connection_id(fd_, options.group_size);
}

// Receiving.

struct UdpReceiver::Slots {
  std::array<mmsghdr, kBatch> headers;
  std::array<iovec, kBatch> vectors;
  std::array<sockaddr_in6, kBatch> from;
  std::array<std::array<char, 128>, kBatch> control;
  std::array<std::array<std::byte, kCoalescedMax>, kBatch> data;
};

UdpReceiver::UdpReceiver() : slots_{new Slots} {}  // pages are touched as packets need them
UdpReceiver::~UdpReceiver() = default;

namespace {

struct Ancillary {
  std::size_t segment;
  UdpAddress local;
};

template <class T>
T read_control(const cmsghdr* header) noexcept {
  T value;
  std::memcpy(&value, CMSG_DATA(header), sizeof value);
  return value;
}

Ancillary read_ancillary(msghdr& header, std::size_t size, const UdpAddress& bound) noexcept {
  Ancillary result{size, bound};
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
      const int segment = read_control<int>(c);
      if (segment > 0) result.segment = static_cast<std::size_t>(segment);
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      const auto info = read_control<in_pktinfo>(c);
      result.local = bound.with_host(&info.ipi_addr);
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      const auto info = read_control<in6_pktinfo>(c);
      result.local = bound.with_host(&info.ipi6_addr);
    }
  }
  return result;
}

}  // namespace

std::size_t UdpReceiver::receive(const UdpSocket& socket, const OnPacket& on_packet) {
  Slots& slots = *slots_;
  for (std::size_t i = 0; i < kBatch; ++i) {
    slots.vectors[i] = {slots.data[i].data(), slots.data[i].size()};
    msghdr& header = slots.headers[i].msg_hdr;
    header = msghdr{};
    header.msg_name = &slots.from[i];
    header.msg_namelen = sizeof slots.from[i];
    header.msg_iov = &slots.vectors[i];
    header.msg_iovlen = 1;
    header.msg_control = slots.control[i].data();
    header.msg_controllen = slots.control[i].size();
  }
  const int count = ::recvmmsg(socket.fd(), slots.headers.data(), kBatch, MSG_DONTWAIT, nullptr);
  if (count <= 0) return 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    msghdr& header = slots.headers[i].msg_hdr;
    const std::size_t size = slots.headers[i].msg_len;
    const auto* const from = reinterpret_cast<const sockaddr*>(&slots.from[i]);
    if (size == 0 || (from->sa_family != AF_INET && from->sa_family != AF_INET6)) continue;
    const Ancillary ancillary = read_ancillary(header, size, socket.local());
    const UdpPath path{ancillary.local, UdpAddress::from(from, header.msg_namelen)};
    ByteView rest = ByteView{slots.data[i]}.first(size);
    while (!rest.empty()) {
      const std::size_t take = std::min(ancillary.segment, rest.size());
      on_packet(path, rest.first(take));
      rest = rest.subspan(take);
    }
  }
  return static_cast<std::size_t>(count);
}

// Sending.

struct UdpSender::Headers {
  // A segment size and a local address.
  static constexpr std::size_t kControlSize =
      CMSG_SPACE(sizeof(std::uint16_t)) + CMSG_SPACE(sizeof(in6_pktinfo));

  std::array<mmsghdr, kSendRunMax> messages;
  std::array<iovec, kSendRunMax> vectors;
  struct alignas(cmsghdr) Control {
    std::array<char, kControlSize> bytes;
  };
  std::array<Control, kSendRunMax> control;
};

UdpSender::UdpSender() : arena_(kArenaSize), headers_{new Headers} {
  messages_.reserve(256);
}
UdpSender::~UdpSender() = default;

void UdpSender::forget(const UdpSocket& socket) {
  for (Message& message : messages_) {
    if (message.socket == &socket) message.socket = nullptr;
  }
  if (blocked_ == &socket) {
    blocked_ = nullptr;
    flush();
  }
}

std::span<std::uint8_t> UdpSender::reserve(std::size_t size) {
  TAYGA_CHECK(size <= kUdpPayloadMax);
  if (used_ + size > arena_.size()) flush();
  if (used_ + size > arena_.size()) {
    // Blocked with a full arena: connections were told to stop; what one writes still (its last
    // packet, an answer to a stranger) takes the place of the last one, as on a full link.
    used_ = arena_.size() - kUdpPayloadMax;
    while (!messages_.empty() && messages_.back().offset + messages_.back().size > used_) {
      messages_.pop_back();
    }
    sent_ = std::min(sent_, messages_.size());
  }
  return {arena_.data() + used_, size};
}

void UdpSender::commit(std::size_t size, const UdpPath& path) {
  const auto offset = static_cast<std::uint32_t>(used_);
  const auto length = static_cast<std::uint32_t>(size);
  if (!messages_.empty() && messages_.size() > sent_) {
    Message& last = messages_.back();
    const bool joins = last.socket != nullptr && last.socket->can_segment() && !last.closed &&
                       last.offset + last.size == offset && length <= last.segment &&
                       last.size + length <= kSegmentedMax &&
                       last.size / last.segment + 1 <= kSegmentsMax && last.path == path;
    if (joins) {
      last.size += length;
      last.closed = length < last.segment;
      used_ += size;
      return;
    }
  }
  UdpSocket* const socket = find_socket_(path);
  if (socket == nullptr) return;  // overwritten by the next one
  messages_.push_back({socket, path, offset, length, length, false});
  used_ += size;
}

void UdpSender::flush() {
  blocked_ = nullptr;
  while (sent_ < messages_.size()) {
    const std::size_t done = send_run(sent_);
    sent_ += done;
    if (blocked_ != nullptr) return;
  }
  messages_.clear();
  sent_ = 0;
  used_ = 0;
}

namespace {

template <class T>
void add_control(msghdr& header, int level, int type, const T& value) noexcept {
  auto* const at =
      reinterpret_cast<cmsghdr*>(static_cast<char*>(header.msg_control) + header.msg_controllen);
  at->cmsg_level = level;
  at->cmsg_type = type;
  at->cmsg_len = CMSG_LEN(sizeof value);
  std::memcpy(CMSG_DATA(at), &value, sizeof value);
  header.msg_controllen += CMSG_SPACE(sizeof value);
}

void add_source(msghdr& header, const UdpAddress& local) noexcept {
  const ByteView host = local.host();
  if (local.is_v6()) {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, host.data(), host.size());
    add_control(header, IPPROTO_IPV6, IPV6_PKTINFO, info);
  } else {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, host.data(), host.size());
    add_control(header, IPPROTO_IP, IP_PKTINFO, info);
  }
}

}  // namespace

/// Sends messages of one socket from `first` on; returns how many are dealt with (>= 1 unless
/// blocked).
std::size_t UdpSender::send_run(std::size_t first) {
  UdpSocket* const socket = messages_[first].socket;
  if (socket == nullptr) return 1;
  std::size_t count = 0;
  for (std::size_t i = first; i < messages_.size() && count < kSendRunMax; ++i, ++count) {
    Message& message = messages_[i];
    if (message.socket != socket) break;
    Headers& h = *headers_;
    h.vectors[count] = {arena_.data() + message.offset, message.size};
    msghdr& header = h.messages[count].msg_hdr;
    header = msghdr{};
    header.msg_name = message.path.remote.data();
    header.msg_namelen = message.path.remote.size();
    header.msg_iov = &h.vectors[count];
    header.msg_iovlen = 1;
    header.msg_control = h.control[count].bytes.data();
    if (message.size > message.segment) {
      add_control(header, SOL_UDP, UDP_SEGMENT, static_cast<std::uint16_t>(message.segment));
    }
    if (socket->is_wildcard() && !message.path.local.is_unspecified()) {
      add_source(header, message.path.local);
    }
    if (header.msg_controllen == 0) header.msg_control = nullptr;
  }
  const int sent = ::sendmmsg(socket->fd(), headers_->messages.data(), static_cast<unsigned>(count),
                              MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent > 0) return static_cast<std::size_t>(sent);
  const int error = errno;
  if (error == EINTR) return 0;
  if (error == EAGAIN || error == EWOULDBLOCK) {
    blocked_ = socket;
    return 0;
  }
  on_refused(messages_[first], error);
  return 1;
}

/// The first message failed: a kernel or a network card that cannot segment, or a path that is not
/// there.
void UdpSender::on_refused(Message& message, int error) {
  const bool segmented = message.size > message.segment;
  if (!segmented) return;  // lost
  if (error == EIO || error == EINVAL || error == EOPNOTSUPP) message.socket->stop_segmenting();
  send_alone(message);
}

void UdpSender::send_alone(const Message& message) {
  for (std::uint32_t at = 0; at < message.size; at += message.segment) {
    const std::size_t size = std::min(message.segment, message.size - at);
    (void)::sendto(message.socket->fd(), arena_.data() + message.offset + at, size,
                   MSG_DONTWAIT | MSG_NOSIGNAL, message.path.remote.data(),
                   message.path.remote.size());
  }
}

}  // namespace tayga::transport::quic
