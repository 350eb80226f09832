#pragma once

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"
#include "common/transport/quic/packet_sink.hpp"
#include "common/transport/quic/udp_address.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace tayga::transport::quic {

struct UdpSocketOptions {
  std::size_t buffer = 4 * 1024 * 1024;  ///< asked for, each way
  bool segment_offload = true;
  /// Joins the group of sockets that share a port; packets go to the one whose index in the group
  /// is the connection id's first byte modulo `group_size`. 0 = no group.
  unsigned group_size = 0;
};

/// A non-blocking UDP socket: many packets a call, segmented and coalesced by the kernel where it
/// can, with the local address of each packet where several are bound.
class UdpSocket {
 public:
  /// Errors: the system's own.
  static Result<std::unique_ptr<UdpSocket>> open(const Endpoint& local,
                                                 const UdpSocketOptions& options);
  ~UdpSocket();
  UdpSocket(const UdpSocket&) = delete;
  UdpSocket& operator=(const UdpSocket&) = delete;

  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] const UdpAddress& local() const noexcept { return local_; }
  /// Bound to no single address: received packets say which one they came to.
  [[nodiscard]] bool is_wildcard() const noexcept { return wildcard_; }
  /// The smaller of what the kernel granted for sending and receiving, in bytes.
  [[nodiscard]] std::size_t buffer_granted() const noexcept { return buffer_granted_; }
  [[nodiscard]] bool can_segment() const noexcept { return segments_; }
  /// The kernel refused a segmented send.
  void stop_segmenting() noexcept { segments_ = false; }

 private:
  UdpSocket(int fd, const UdpAddress& local) noexcept : fd_{fd}, local_{local} {}
  void tune(const UdpSocketOptions& options);

  int fd_;
  UdpAddress local_;
  bool wildcard_ = false;
  bool segments_ = false;
  std::size_t buffer_granted_ = 0;
};

/// Receives into buffers that live as long as it does. One serves all sockets of a thread.
class UdpReceiver {
 public:
  /// `packet` is valid during the call.
  using OnPacket = std::function<void(const UdpPath& path, ByteView packet)>;

  UdpReceiver();
  ~UdpReceiver();
  UdpReceiver(const UdpReceiver&) = delete;
  UdpReceiver& operator=(const UdpReceiver&) = delete;

  /// One system call. Returns the number of datagrams as the kernel coalesced them; fewer than
  /// kBatch: the socket is empty now (or broken).
  std::size_t receive(const UdpSocket& socket, const OnPacket& on_packet);

  static constexpr std::size_t kBatch = 8;

 private:
  struct Slots;
  std::unique_ptr<Slots> slots_;
};

/// Gathers packets and sends them, those of one path side by side as one segmented datagram.
///
/// Bounded by its arena: what does not fit is sent first. Packets that the kernel does not take
/// stay until flush() is called again; what it refuses for good is lost, as on any link.
class UdpSender final : public PacketSink {
 public:
  UdpSender();
  ~UdpSender();
  UdpSender(const UdpSender&) = delete;
  UdpSender& operator=(const UdpSender&) = delete;

  /// Which socket a path's packets leave from; nullptr drops them.
  using FindSocket = std::function<UdpSocket*(const UdpPath&)>;
  void set_find_socket(FindSocket find) { find_socket_ = std::move(find); }
  /// Packets for it are dropped; call before it goes away.
  void forget(const UdpSocket& socket);

  std::span<std::uint8_t> reserve(std::size_t size) override;
  void commit(std::size_t size, const UdpPath& path) override;
  [[nodiscard]] bool blocked() const noexcept override { return blocked_ != nullptr; }
  /// Sends all; afterwards either nothing is left or blocked().
  void flush();
  /// The socket that takes nothing now; wait until it is writable, then flush().
  [[nodiscard]] UdpSocket* blocked_socket() const noexcept { return blocked_; }

 private:
  struct Message {
    UdpSocket* socket;
    UdpPath path;
    std::uint32_t offset;
    std::uint32_t size;
    std::uint32_t segment;  ///< size of each packet but the last
    bool closed;            ///< its last packet was a shorter one
  };
  struct Headers;
  std::size_t send_run(std::size_t first);
  void on_refused(Message& message, int error);
  void send_alone(const Message& message);

  FindSocket find_socket_;
  std::vector<std::uint8_t> arena_;
  std::size_t used_ = 0;
  std::vector<Message> messages_;
  std::size_t sent_ = 0;  // messages
  UdpSocket* blocked_ = nullptr;
  std::unique_ptr<Headers> headers_;
};

}  // namespace tayga::transport::quic
