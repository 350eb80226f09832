#include "common/transport/workers/batch_pipe.hpp"
#include "common/transport/workers/datagram_exchange.hpp"
#include "common/transport/workers/messages.hpp"
#include "common/transport/workers/worker_pool.hpp"
#include "tests/support/catch.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <chrono>
#include <functional>
#include <future>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

namespace tayga::transport::workers {
namespace {

bool run_until(boost::asio::io_context& io, const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + 10s;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    io.restart();
    io.run_one_for(std::chrono::milliseconds{5});
  }
  return true;
}

EventBatch frames_of(Key key, std::initializer_list<std::string_view> texts) {
  EventBatch batch;
  for (const std::string_view text : texts) {
    const ByteView payload = as_bytes(text);
    batch.events.push_back(
        {key, Event::Frame{wire::FrameType::chunk, batch.bytes.size(), payload.size()}});
    batch.bytes.insert(batch.bytes.end(), payload.begin(), payload.end());
  }
  return batch;
}

std::vector<std::string> texts_of(const EventBatch& batch) {
  std::vector<std::string> texts;
  for (const Event& event : batch.events) {
    const auto& frame = std::get<Event::Frame>(event.what);
    texts.emplace_back(as_text(ByteView{batch.bytes}.subspan(frame.offset, frame.size)));
  }
  return texts;
}

const Endpoint kSomewhere{boost::asio::ip::address_v4::loopback(), 7410};

}  // namespace

TEST_CASE("a pipe wakes its consumer once for all that waits, and joins batches in order") {
  BatchPipe<EventBatch> pipe;
  EventBatch first = frames_of(1, {"one", "two"});
  EventBatch second = frames_of(2, {"three", "", "four"});
  CHECK(pipe.push(first));
  CHECK_FALSE(pipe.push(second));
  CHECK(first.empty());
  CHECK(second.empty());
  EventBatch taken;
  pipe.take(taken);
  CHECK(texts_of(taken) == std::vector<std::string>{"one", "two", "three", "", "four"});

  EventBatch third = frames_of(3, {"five"});
  CHECK(pipe.push(third));  // it came, so it must be told again
}

TEST_CASE("every worker is a thread of its own, worker 0 is the caller's") {
  boost::asio::io_context io;
  WorkerPool pool{io.get_executor(), 4};
  CHECK(pool.size() == 4);
  std::set<std::thread::id> threads;
  for (unsigned i = 0; i < 4; ++i) {
    threads.insert(pool.run_on(i, [] { return std::this_thread::get_id(); }));
  }
  CHECK(threads.size() == 4);
  CHECK(threads.contains(std::this_thread::get_id()));
}

TEST_CASE("what a task throws on a worker comes back to its caller") {
  boost::asio::io_context io;
  WorkerPool pool{io.get_executor(), 2};
  CHECK_THROWS_AS(pool.run_on(1, []() -> int { throw std::runtime_error{"no"}; }),
                  std::runtime_error);
  CHECK(pool.run_on(1, [] { return 7; }) == 7);
}

TEST_CASE("an exception that leaves a worker's handler is thrown on the main thread") {
  boost::asio::io_context io;
  WorkerPool pool{io.get_executor(), 2};
  boost::asio::post(pool.executor(1), [] { throw std::logic_error{"a bug"}; });
  CHECK_THROWS_AS(run_until(io, [] { return false; }), std::logic_error);
  CHECK(pool.run_on(1, [] { return 7; }) == 7);  // the others' sessions can still be closed
}

TEST_CASE("a pool finishes what was posted before it stops") {
  boost::asio::io_context io;
  WorkerPool pool{io.get_executor(), 3};
  int done = 0;  // read after the threads were joined
  boost::asio::post(pool.executor(2), [&done] { ++done; });
  pool.stop();
  pool.stop();
  CHECK(done == 1);
}

TEST_CASE("a datagram is handed to the worker that it belongs to, on its thread") {
  boost::asio::io_context io;
  WorkerPool pool{io.get_executor(), 2};
  DatagramExchange exchange{pool};
  std::promise<std::thread::id> arrived;
  pool.run_on(1, [&] {
    exchange.set_sink(1, [&](const SharedBytes& datagram, const Endpoint& from) {
      CHECK(as_text(*datagram) == "initial");
      CHECK(from == kSomewhere);
      arrived.set_value(std::this_thread::get_id());
    });
  });
  exchange.hand_over(1, make_shared_bytes(as_bytes("initial")), kSomewhere);
  CHECK(arrived.get_future().get() == pool.run_on(1, [] { return std::this_thread::get_id(); }));
  CHECK(exchange.handed_over() == 1);
  CHECK(exchange.dropped() == 0);
  pool.run_on(1, [&] { exchange.set_sink(1, nullptr); });
}

TEST_CASE("a full mailbox drops datagrams and counts them, then takes others again") {
  boost::asio::io_context io;
  WorkerPool pool{io.get_executor(), 1};
  DatagramExchange exchange{pool};
  std::size_t received = 0;
  exchange.set_sink(0, [&](const SharedBytes&, const Endpoint&) { ++received; });
  const SharedBytes datagram = make_shared_bytes(Bytes(1024));
  const std::size_t fits = DatagramExchange::kMailboxBytesMax / 1024;
  for (std::size_t i = 0; i < fits + 10; ++i) exchange.hand_over(0, datagram, kSomewhere);
  CHECK(exchange.dropped() == 10);
  REQUIRE(run_until(io, [&] { return received == fits; }));
  exchange.hand_over(0, datagram, kSomewhere);
  REQUIRE(run_until(io, [&] { return received == fits + 1; }));
  CHECK(exchange.dropped() == 10);
}

TEST_CASE("a datagram for a worker that does not exist is a drop") {
  boost::asio::io_context io;
  WorkerPool pool{io.get_executor(), 1};
  DatagramExchange exchange{pool};
  exchange.hand_over(7, make_shared_bytes(as_bytes("forged")), kSomewhere);
  CHECK(exchange.dropped() == 1);
}

}  // namespace tayga::transport::workers
