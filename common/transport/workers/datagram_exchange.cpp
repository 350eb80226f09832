#include "common/transport/workers/datagram_exchange.hpp"

#include <boost/asio/post.hpp>

#include <atomic>
#include <mutex>
#include <utility>

namespace tayga::transport::workers {

struct DatagramExchange::Mailbox {
  struct Datagram {
    SharedBytes bytes;
    Endpoint from;
  };

  explicit Mailbox(boost::asio::any_io_executor ex) : executor{std::move(ex)} {}

  /// False: dropped. True in `wake`: nobody told the worker yet.
  bool put(SharedBytes datagram, const Endpoint& from, bool& wake) {
    const std::scoped_lock lock{mutex};
    if (waiting_bytes + datagram->size() > kMailboxBytesMax) return false;
    waiting_bytes += datagram->size();
    waiting.push_back({std::move(datagram), from});
    wake = waiting.size() == 1;
    return true;
  }

  /// On the worker.
  void deliver() {
    {
      const std::scoped_lock lock{mutex};
      waiting.swap(being_read);
      waiting_bytes = 0;
    }
    for (Datagram& datagram : being_read) {
      const Sink to = sink;  // a copy: what the datagram leads to may end the one who takes it
      if (to) to(std::move(datagram.bytes), datagram.from);
    }
    being_read.clear();
  }

  const boost::asio::any_io_executor executor;
  std::mutex mutex;  // guards the next two
  std::vector<Datagram> waiting;
  std::size_t waiting_bytes = 0;

  std::vector<Datagram> being_read;  // the worker's, as is the sink
  Sink sink;
  std::atomic<std::uint64_t> handed_over = 0;
  std::atomic<std::uint64_t> dropped = 0;
};

DatagramExchange::DatagramExchange(const WorkerPool& pool) {
  for (unsigned i = 0; i < pool.size(); ++i) {
    mailboxes_.push_back(std::make_shared<Mailbox>(pool.executor(i)));
  }
}

DatagramExchange::~DatagramExchange() = default;

void DatagramExchange::set_sink(unsigned worker, Sink sink) {
  mailboxes_.at(worker)->sink = std::move(sink);
}

void DatagramExchange::hand_over(unsigned worker, SharedBytes datagram, const Endpoint& from) {
  if (worker >= mailboxes_.size()) {  // a forged connection id may name any
    mailboxes_.front()->dropped.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  const std::shared_ptr<Mailbox>& mailbox = mailboxes_[worker];
  bool wake = false;
  if (!mailbox->put(std::move(datagram), from, wake)) {
    mailbox->dropped.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  mailbox->handed_over.fetch_add(1, std::memory_order_relaxed);
  if (wake) boost::asio::post(mailbox->executor, [mailbox] { mailbox->deliver(); });
}

std::uint64_t DatagramExchange::handed_over() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& mailbox : mailboxes_)
    sum += mailbox->handed_over.load(std::memory_order_relaxed);
  return sum;
}

std::uint64_t DatagramExchange::dropped() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& mailbox : mailboxes_) sum += mailbox->dropped.load(std::memory_order_relaxed);
  return sum;
}

}  // namespace tayga::transport::workers
