#include "common/transport/quic/memory_meter.hpp"

#include <malloc.h>

#include <cstdlib>

namespace tayga::transport::quic {
namespace {

std::size_t size_of(void* memory) noexcept {
  return memory == nullptr ? 0 : ::malloc_usable_size(memory);
}

std::size_t& used_of(void* user) noexcept {
  return *static_cast<std::size_t*>(user);
}

}  // namespace

MemoryMeter::MemoryMeter() noexcept
    : mem_{&used_, allocate, release, allocate_zeroed, reallocate} {}

void* MemoryMeter::allocate(std::size_t size, void* user) {
  void* const memory = std::malloc(size);
  used_of(user) += size_of(memory);
  return memory;
}

void* MemoryMeter::allocate_zeroed(std::size_t count, std::size_t size, void* user) {
  void* const memory = std::calloc(count, size);
  used_of(user) += size_of(memory);
  return memory;
}

void* MemoryMeter::reallocate(void* memory, std::size_t size, void* user) {
  const std::size_t before = size_of(memory);
  void* const moved = std::realloc(memory, size);
  if (moved == nullptr) return nullptr;
  used_of(user) += size_of(moved) - before;
  return moved;
}

void MemoryMeter::release(void* memory, void* user) {
  used_of(user) -= size_of(memory);
  std::free(memory);
}

}  // namespace tayga::transport::quic
