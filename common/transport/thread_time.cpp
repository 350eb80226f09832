#include "common/transport/thread_time.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <ctime>
#include <optional>

namespace tayga::transport {
namespace {

ThreadTime read_clock() noexcept {
  timespec used{};
  (void)::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return {std::chrono::duration_cast<Duration>(std::chrono::seconds{used.tv_sec} +
                                               std::chrono::nanoseconds{used.tv_nsec}),
          Duration{0}};
}

/// "used_ns waited_ns slices\n" (Documentation/scheduler/sched-stats.rst)
std::optional<ThreadTime> read_schedstat(int file) noexcept {
  std::array<char, 96> text;
  const ssize_t size = ::pread(file, text.data(), text.size(), 0);
  if (size <= 0) return std::nullopt;
  const char* const end = text.data() + size;
  std::int64_t used_ns = 0;
  std::int64_t waited_ns = 0;
  const auto first = std::from_chars(text.data(), end, used_ns);
  if (first.ec != std::errc{} || first.ptr == end) return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, waited_ns);
  if (second.ec != std::errc{}) return std::nullopt;
  return ThreadTime{std::chrono::duration_cast<Duration>(std::chrono::nanoseconds{used_ns}),
                    std::chrono::duration_cast<Duration>(std::chrono::nanoseconds{waited_ns})};
}

}  // namespace

ThreadClock::~ThreadClock() {
  if (file_ >= 0) ::close(file_);
}

ThreadTime ThreadClock::read() noexcept {
  if (!opened_) file_ = ::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  opened_ = true;
  if (file_ < 0) return read_clock();
  return read_schedstat(file_).value_or(read_clock());
}

}  // namespace tayga::transport
