#include "common/transport/tls/poller.hpp"

#include "common/async/clock.hpp"
#include "tests/support/catch.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

namespace tayga::transport::tls {
namespace {

/// A descriptor that stays readable; each call takes `cost` of the thread's time.
struct Busy final : Pollable {
  Busy(std::shared_ptr<Poller> owner, Duration time)
      : poller{std::move(owner)}, cost{time}, fd{::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC)} {
    REQUIRE(poller->add(fd, *this, EPOLLIN));
  }
  ~Busy() {
    poller->remove(fd, *this);
    ::close(fd);
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

  void on_ready(std::uint32_t) override {
    ++calls;
    for (const TimePoint end = async::Clock::now() + cost; async::Clock::now() < end;) {
    }
    if (then) then();
  }
  void on_tick(TimePoint) override {}

  std::shared_ptr<Poller> poller;
  Duration cost;
  int fd;
  int calls = 0;
  std::function<void()> then;
};

struct Fixture {
  explicit Fixture(int count, Duration cost) {
    for (int i = 0; i < count; ++i) all.push_back(std::make_unique<Busy>(poller, cost));
  }
  int calls() const {
    int sum = 0;
    for (const auto& one : all) sum += one ? one->calls : 0;
    return sum;
  }
  boost::asio::io_context io;
  std::shared_ptr<Poller> poller = std::make_shared<Poller>(io.get_executor(), 250ms);
  std::vector<std::unique_ptr<Busy>> all;
};

}  // namespace

TEST_CASE("sockets that are always ready let the executor's other work in between") {
  Fixture f{30, 300us};
  int longest = 0;
  int seen = 0;
  std::function<void()> other = [&] {
    longest = std::max(longest, f.calls() - seen);
    seen = f.calls();
    if (seen < 120) boost::asio::post(f.io, other);
  };
  boost::asio::post(f.io, other);
  while (seen < 120) f.io.run_one();
  CHECK(longest <= 4);
}

TEST_CASE("sockets that are always ready are served in turn, none starves") {
  Fixture f{100, 200us};
  while (f.calls() < 500) f.io.run_one();
  const auto [least, most] = std::minmax_element(
      f.all.begin(), f.all.end(), [](const auto& a, const auto& b) { return a->calls < b->calls; });
  CHECK((*least)->calls >= 3);
  CHECK((*most)->calls <= 7);
}

TEST_CASE("one that is removed while it waits for its turn is not called any more") {
  Fixture f{20, 600us};
  f.all[0]->then = [&] {
    for (std::size_t i = 1; i < f.all.size(); ++i) f.all[i].reset();
  };
  while (f.calls() < 5) f.io.run_one();
  CHECK(f.all[0]->calls >= 1);
  f.all.clear();
  f.io.restart();
  f.io.run();  // and then nothing keeps the executor busy
}

}  // namespace tayga::transport::tls
