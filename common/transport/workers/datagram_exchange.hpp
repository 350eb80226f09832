#pragma once

#include "common/base/bytes.hpp"
#include "common/transport/session.hpp"
#include "common/transport/workers/worker_pool.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace tayga::transport::workers {

/// Brings datagrams that reached the wrong worker (after a change of a peer's address the kernel
/// may choose another socket of the port) to the right one.
///
/// One mailbox a worker, of at most kMailboxBytesMax: beyond it datagrams are dropped and counted,
/// as the kernel does; QUIC sends them again. Thread-safe, except that a worker's sink is set and
/// called on that worker only.
class DatagramExchange {
 public:
  using Sink = std::function<void(SharedBytes datagram, Endpoint from)>;
  static constexpr std::size_t kMailboxBytesMax = 256 * 1024;

  explicit DatagramExchange(const WorkerPool& pool);
  ~DatagramExchange();
  DatagramExchange(const DatagramExchange&) = delete;
  DatagramExchange& operator=(const DatagramExchange&) = delete;

  /// Empty: what comes is dropped. On the worker.
  void set_sink(unsigned worker, Sink sink);
  /// From any worker; one that does not exist is a drop.
  void hand_over(unsigned worker, SharedBytes datagram, const Endpoint& from);

  [[nodiscard]] std::uint64_t handed_over() const noexcept;
  [[nodiscard]] std::uint64_t dropped() const noexcept;

 private:
  struct Mailbox;
  std::vector<std::shared_ptr<Mailbox>> mailboxes_;
};

}  // namespace tayga::transport::workers
