#include "tests/support/emulator_thread.hpp"

#include "common/async/clock.hpp"
#include "common/base/check.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <future>
#include <system_error>
#include <utility>

namespace tayga::test {
namespace {

int require(int result, const char* what) {
  if (result < 0) throw std::system_error{errno, std::generic_category(), what};
  return result;
}

}  // namespace

OwnedFd::OwnedFd(OwnedFd&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
OwnedFd& OwnedFd::operator=(OwnedFd&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}
OwnedFd::~OwnedFd() {
  if (fd_ >= 0) ::close(fd_);
}

EmulatorThread::EmulatorThread()
    : epoll_{require(::epoll_create1(EPOLL_CLOEXEC), "epoll")},
      wake_{require(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")} {
  watch(wake_.get(), kWakeTag, EPOLLIN);
}

EmulatorThread::~EmulatorThread() {
  stop();
}

void EmulatorThread::start(Hooks hooks) {
  hooks_ = std::move(hooks);
  thread_ = std::thread{[this] { loop(); }};
}

void EmulatorThread::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  wake();
  thread_.join();
}

void EmulatorThread::run(const std::function<void()>& work) {
  std::promise<void> done;
  {
    const std::lock_guard lock{mutex_};
    posted_.push_back([&] {
      work();
      done.set_value();
    });
  }
  wake();
  done.get_future().wait();
}

void EmulatorThread::watch(int fd, std::uint64_t tag, std::uint32_t events) const {
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag;
  require(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

void EmulatorThread::rewatch(int fd, std::uint64_t tag, std::uint32_t events) const {
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag;
  require(::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event), "epoll_ctl");
}

void EmulatorThread::wake() const {
  const std::uint64_t one = 1;
  TAYGA_CHECK(::write(wake_.get(), &one, sizeof one) == sizeof one);
}

void EmulatorThread::run_posted() {
  std::uint64_t count = 0;
  (void)!::read(wake_.get(), &count, sizeof count);
  std::vector<std::function<void()>> work;
  {
    const std::lock_guard lock{mutex_};
    work.swap(posted_);
  }
  for (const auto& one : work) one();
}

int EmulatorThread::wait(std::optional<TimePoint> until, std::span<epoll_event> events) {
  const int size = static_cast<int>(events.size());
  if (!until) return ::epoll_wait(epoll_.get(), events.data(), size, -1);
  const auto left = std::max(*until - async::Clock::now(), Duration{0});
  if (fine_timers_) {
    timespec timeout{};
    timeout.tv_sec = static_cast<time_t>(left.count() / 1'000'000);
    timeout.tv_nsec = static_cast<long>(left.count() % 1'000'000) * 1000;
    const int count = ::epoll_pwait2(epoll_.get(), events.data(), size, &timeout, nullptr);
    if (count >= 0 || errno != ENOSYS) return count;
    fine_timers_ = false;
  }
  return ::epoll_wait(epoll_.get(), events.data(), size,
                      static_cast<int>((left.count() + 999) / 1000));
}

void EmulatorThread::loop() {
  std::array<epoll_event, 64> events{};
  while (!stopping_) {
    const int count = wait(hooks_.on_time(), events);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      if (event.data.u64 == kWakeTag) {
        run_posted();
      } else {
        hooks_.on_event(event.data.u64, event.events);
      }
    }
  }
}

}  // namespace tayga::test
