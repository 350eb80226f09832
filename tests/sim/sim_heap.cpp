// The heap of tayga-sim: operator new and delete of that program alone.
//
// A run holds hundreds of nodes' state in small pieces and looks at another node at every event:
// what it waits for is memory. Small pieces therefore come from one region of huge pages (no walk
// of page tables at each touch), and a piece that was let go of is the next one given (still in the
// cache). The program has one thread, so nothing is locked.
//
//  | span | span | span | ...      64 KiB each, cut in pieces of one size class
//
// A span's class is looked up by address; what is larger than kPieceMax, and everything once the
// region is used up, is the C library's.
#include <sys/mman.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace {

// Sizes rise by kStep, which is also the alignment, up to kSmallMax, then by kLargeStep.
constexpr std::size_t kStep = 16;
constexpr std::size_t kSmallMax = 2048;
constexpr std::size_t kSmallClasses = kSmallMax / kStep;
constexpr std::size_t kLargeStep = 512;
constexpr std::size_t kPieceMax = 16 * 1024;
constexpr std::size_t kClasses = kSmallClasses + (kPieceMax - kSmallMax) / kLargeStep;
constexpr std::size_t kSpanSize = 64 * 1024;
constexpr std::size_t kGrowth = 32 * 1024 * 1024;
constexpr std::size_t kRegionSize = std::size_t{16} * 1024 * 1024 * 1024;  // of addresses
constexpr std::size_t kHugePage = 2 * 1024 * 1024;
static_assert(kStep % __STDCPP_DEFAULT_NEW_ALIGNMENT__ == 0 && kClasses <= 256);

struct Piece {
  Piece* next;
};

/// Pre: 0 < size <= kPieceMax.
constexpr std::size_t class_of(std::size_t size) noexcept {
  return size <= kSmallMax ? (size - 1) / kStep
                           : kSmallClasses + (size - kSmallMax - 1) / kLargeStep;
}
constexpr std::size_t size_of(std::size_t size_class) noexcept {
  return size_class < kSmallClasses ? (size_class + 1) * kStep
                                    : kSmallMax + (size_class + 1 - kSmallClasses) * kLargeStep;
}

struct Heap {
  std::array<Piece*, kClasses> free{};      // let go of, newest first
  std::array<std::byte*, kClasses> rest{};  // of the class's newest span
  std::array<std::byte*, kClasses> rest_end{};
  std::byte* region = nullptr;
  std::byte* used_end = nullptr;  // spans below it have a class
  std::byte* mapped_end = nullptr;
  bool is_exhausted = false;
  std::array<std::uint8_t, kRegionSize / kSpanSize> span_class{};

  void* give(std::size_t size) noexcept;
  bool take_back(void* piece) noexcept;

 private:
  bool add_span(std::size_t size_class) noexcept;
  bool grow() noexcept;
};

constinit Heap heap;  // there before any constructor runs

bool Heap::grow() noexcept {
  if (is_exhausted) return false;
  if (region == nullptr) {
    void* const reserved = mmap(nullptr, kRegionSize + kHugePage, PROT_NONE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    is_exhausted = reserved == MAP_FAILED;
    if (is_exhausted) return false;
    const auto begin = reinterpret_cast<std::uintptr_t>(reserved);
    const std::size_t skipped = (kHugePage - begin % kHugePage) % kHugePage;
    region = used_end = mapped_end = static_cast<std::byte*>(reserved) + skipped;
  }
  const auto mapped = static_cast<std::size_t>(mapped_end - region);
  is_exhausted =
      mapped + kGrowth > kRegionSize || mprotect(mapped_end, kGrowth, PROT_READ | PROT_WRITE) != 0;
  if (is_exhausted) return false;
  madvise(mapped_end, kGrowth, MADV_HUGEPAGE);  // a wish: without it the run is only slower
  mapped_end += kGrowth;
  return true;
}

bool Heap::add_span(std::size_t size_class) noexcept {
  if (used_end == mapped_end && !grow()) return false;
  span_class[static_cast<std::size_t>(used_end - region) / kSpanSize] =
      static_cast<std::uint8_t>(size_class);
  const std::size_t pieces = kSpanSize / size_of(size_class);
  rest[size_class] = used_end;
  rest_end[size_class] = used_end + pieces * size_of(size_class);
  used_end += kSpanSize;
  return true;
}

/// nullptr: the C library's turn.
inline void* Heap::give(std::size_t size) noexcept {
  if (size > kPieceMax) return nullptr;
  const std::size_t size_class = size == 0 ? 0 : class_of(size);
  if (Piece* const piece = free[size_class]) {
    free[size_class] = piece->next;
    return piece;
  }
  if (rest[size_class] == rest_end[size_class] && !add_span(size_class)) return nullptr;
  std::byte* const piece = rest[size_class];
  rest[size_class] += size_of(size_class);
  return piece;
}

/// False: it is none of ours.
inline bool Heap::take_back(void* given) noexcept {
  const std::size_t offset =
      reinterpret_cast<std::uintptr_t>(given) - reinterpret_cast<std::uintptr_t>(region);
  if (offset >= static_cast<std::size_t>(used_end - region)) return false;
  const std::size_t size_class = span_class[offset / kSpanSize];
  free[size_class] = new (given) Piece{free[size_class]};
  return true;
}

void* allocate(std::size_t size) {
  if (void* const piece = heap.give(size)) return piece;
  if (void* const large = std::malloc(size == 0 ? 1 : size)) return large;
  throw std::bad_alloc{};
}

void release(void* given) noexcept {
  if (!heap.take_back(given)) std::free(given);
}

}  // namespace

void* operator new(std::size_t size) {
  return allocate(size);
}
void* operator new[](std::size_t size) {
  return allocate(size);
}
void operator delete(void* given) noexcept {
  release(given);
}
void operator delete[](void* given) noexcept {
  release(given);
}
void operator delete(void* given, std::size_t) noexcept {
  release(given);
}
void operator delete[](void* given, std::size_t) noexcept {
  release(given);
}
