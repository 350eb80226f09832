#pragma once

#include "common/transport/quic/ngtcp2_shim.hpp"

#include <cstddef>

namespace tayga::transport::quic {

/// Counts the bytes that the library holds for one connection, so that no trick of a peer, known or
/// not, makes it hold more than it may: many fragments, unfinished ids, queued answers. It counts
/// and never refuses, as the library's own way out of memory is little used; its connection looks
/// after each packet.
class MemoryMeter {
 public:
  MemoryMeter() noexcept;
  MemoryMeter(const MemoryMeter&) = delete;
  MemoryMeter& operator=(const MemoryMeter&) = delete;

  /// For ngtcp2_conn_client_new and ngtcp2_conn_server_new; the meter outlives that connection.
  [[nodiscard]] const ngtcp2_mem* allocator() const noexcept { return &mem_; }
  [[nodiscard]] std::size_t used() const noexcept { return used_; }

 private:
  static void* allocate(std::size_t size, void* user);
  static void* allocate_zeroed(std::size_t count, std::size_t size, void* user);
  static void* reallocate(void* memory, std::size_t size, void* user);
  static void release(void* memory, void* user);

  ngtcp2_mem mem_;
  std::size_t used_ = 0;
};

}  // namespace tayga::transport::quic
