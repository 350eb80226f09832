#pragma once

#include "common/async/event.hpp"
#include "common/transport/transport.hpp"
#include "common/transport/workers/messages.hpp"
#include "common/transport/workers/worker_hub.hpp"
#include "common/transport/workers/worker_pool.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

namespace tayga::transport::workers {

class Proxy;

/// The main thread's side of one worker of a pooled transport, alive as long as the transport or
/// one of its proxies is; with the last of them the worker's side ends,
/// and the dials are given up.
///
/// What the proxies want is gathered during one turn of the main loop and crosses as one batch;
/// what comes back is handled kBytesPerTurn at a time. Not thread-safe: main executor only.
class ProxyHub : public std::enable_shared_from_this<ProxyHub> {
 public:
  using MakeTransport = std::function<std::unique_ptr<Transport>()>;

  /// Makes the transport on the worker, and waits for it. Pre: 0 < worker < pool.size(). Throws
  /// what `make` throws.
  static std::shared_ptr<ProxyHub> make(WorkerPool& pool, unsigned worker,
                                        const MakeTransport& make);
  ~ProxyHub();
  ProxyHub(const ProxyHub&) = delete;
  ProxyHub& operator=(const ProxyHub&) = delete;

  /// As Transport::listen; waits for the worker.
  Result<Endpoint> listen(const Endpoint& local, Transport::AcceptHandler on_accept);
  void stop();
  static async::Task<Result<std::unique_ptr<Session>>> run_connect(std::shared_ptr<ProxyHub> hub,
                                                                   Endpoint remote, NodeId expected,
                                                                   Duration timeout);

  // For the proxies.
  void enlist(Key key, Proxy& proxy);
  void forget(Key key);
  void send(Command command);
  void want_turn(std::weak_ptr<Proxy> proxy);

 private:
  struct Dial {
    explicit Dial(const boost::asio::any_io_executor& executor) : ended{executor} {}
    async::Event ended;
    std::optional<Result<std::unique_ptr<Session>>> result;
  };

  ProxyHub(WorkerPool& pool, unsigned worker);
  void schedule_turn();
  void run_turn();
  void flush();
  void on_wake();
  void drain();
  void handle(Event& event);
  void on_accepted(Key key, Event::Accepted& accepted);
  void on_dialed(Key key, Event::Dialed& dialed);
  void give_back(Key key, std::size_t bytes);

  WorkerPool& pool_;
  const unsigned worker_;
  const boost::asio::any_io_executor main_;
  const boost::asio::any_io_executor executor_;  // the worker's
  const std::shared_ptr<Channel> channel_;
  std::shared_ptr<WorkerHub> worker_hub_;  // touched on the worker only

  std::vector<Transport::AcceptHandler> on_accept_;  // by listener; empty = stopped
  std::unordered_map<Key, Proxy*> proxies_;
  Key last_dial_ = 0;
  std::map<Key, std::shared_ptr<Dial>> dials_;

  CommandBatch commands_;  // of this turn
  std::vector<std::weak_ptr<Proxy>> waiting_;
  std::vector<std::weak_ptr<Proxy>> served_;  // the other's capacity, swapped
  std::size_t rotation_ = 0;
  bool turn_posted_ = false;

  EventBatch events_;  // being handled
  std::size_t next_event_ = 0;
  bool woken_ = false;  // there are more events behind these
  bool drain_posted_ = false;
};

}  // namespace tayga::transport::workers
