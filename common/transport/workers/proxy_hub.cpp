#include "common/transport/workers/proxy_hub.hpp"

#include "common/async/clock.hpp"
#include "common/base/overloaded.hpp"
#include "common/transport/workers/proxy.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

#include <utility>

namespace tayga::transport::workers {
namespace {

/// Received bytes that are handled before the other work of the main thread gets its turn.
constexpr std::size_t kBytesPerTurn = 256 * 1024;
/// The worker keeps a dial's time; this is for a worker that does not come to it.
constexpr Duration kDialSlack = 1s;

}  // namespace

ProxyHub::ProxyHub(WorkerPool& pool, unsigned worker)
    : pool_{pool},
      worker_{worker},
      main_{pool.executor(0)},
      executor_{pool.executor(worker)},
      channel_{std::make_shared<Channel>()} {}

std::shared_ptr<ProxyHub> ProxyHub::make(WorkerPool& pool, unsigned worker,
                                         const MakeTransport& make) {
  std::shared_ptr<ProxyHub> hub{new ProxyHub{pool, worker}};
  hub->channel_->wake_main = [main = hub->main_, weak = hub->weak_from_this()] {
    boost::asio::post(main, [weak] {
      if (const auto self = weak.lock()) self->on_wake();
    });
  };
  hub->worker_hub_ = pool.run_on(
      worker, [&] { return std::make_shared<WorkerHub>(hub->executor_, make(), hub->channel_); });
  return hub;
}

ProxyHub::~ProxyHub() {
  for (const auto& [key, dial] : dials_) dial->ended.set();  // without a result: given up
  if (!worker_hub_) return;                                  // the transport could not be made
  // Its last owner must be the worker: what it destroys lives there.
  boost::asio::post(executor_, [hub = std::move(worker_hub_)] { hub->shut_down(); });
}

Result<Endpoint> ProxyHub::listen(const Endpoint& local, Transport::AcceptHandler on_accept) {
  const std::size_t listener = on_accept_.size();
  on_accept_.push_back(std::move(on_accept));
  return pool_.run_on(worker_, [&] { return worker_hub_->listen(local, listener); });
}

void ProxyHub::stop() {
  on_accept_.clear();
  pool_.run_on(worker_, [&] { worker_hub_->stop_transport(); });
}

async::Task<Result<std::unique_ptr<Session>>> ProxyHub::run_connect(std::shared_ptr<ProxyHub> hub,
                                                                    Endpoint remote,
                                                                    NodeId expected,
                                                                    Duration timeout) {
  const Key key = ++hub->last_dial_;
  const auto dial = std::make_shared<Dial>(hub->main_);
  hub->dials_.emplace(key, dial);
  hub->send({key, std::make_unique<Command::Dial>(Command::Dial{remote, expected, timeout})});
  // One who waits does not keep the workers' side alive: the task's frame may outlive the pool.
  const std::weak_ptr<ProxyHub> weak = hub;
  hub.reset();
  const TimePoint deadline = async::Clock::now() + timeout + kDialSlack;
  const async::WaitResult waited = co_await dial->ended.wait(deadline);
  hub = weak.lock();
  if (hub) hub->dials_.erase(key);
  if (hub && !dial->result) hub->send({key, Command::CancelDial{}});
  if (waited == async::WaitResult::cancelled) {
    co_return error_code{boost::asio::error::operation_aborted};
  }
  if (dial->result) co_return std::move(*dial->result);
  co_return hub ? TransportErrc::timed_out : TransportErrc::connect_failed;
}

// Towards the worker.

void ProxyHub::enlist(Key key, Proxy& proxy) {
  proxies_.emplace(key, &proxy);
}

void ProxyHub::forget(Key key) {
  proxies_.erase(key);
}

void ProxyHub::send(Command command) {
  commands_.commands.push_back(std::move(command));
  schedule_turn();
}

void ProxyHub::want_turn(std::weak_ptr<Proxy> proxy) {
  waiting_.push_back(std::move(proxy));
  schedule_turn();
}

void ProxyHub::schedule_turn() {
  if (std::exchange(turn_posted_, true)) return;
  boost::asio::post(main_, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->run_turn();
  });
}

void ProxyHub::run_turn() {
  served_.swap(waiting_);
  // Siblings ask in the same order each time and the last one waits for all: start elsewhere.
  const std::size_t count = served_.size();
  const std::size_t first = count == 0 ? 0 : rotation_++ % count;
  for (std::size_t i = 0; i < count; ++i) {
    if (const auto proxy = served_[(first + i) % count].lock()) proxy->on_turn();
  }
  served_.clear();
  turn_posted_ = false;  // what the proxies sent just now goes with this turn
  flush();
  if (!waiting_.empty()) schedule_turn();
}

void ProxyHub::flush() {
  if (commands_.empty() || !channel_->commands.push(commands_)) return;
  boost::asio::post(executor_, [hub = worker_hub_] { hub->on_commands(); });
}

// From the worker.

void ProxyHub::on_wake() {
  woken_ = true;
  if (!drain_posted_) drain();
}

void ProxyHub::drain() {
  drain_posted_ = false;
  if (events_.empty() && std::exchange(woken_, false)) channel_->events.take(events_);
  const std::size_t until = events_.events.size();
  std::size_t budget = kBytesPerTurn;
  while (next_event_ < until && budget > 0) {
    Event& event = events_.events[next_event_++];
    if (const auto* frame = std::get_if<Event::Frame>(&event.what)) {
      budget -= std::min(budget, frame->size);
    }
    handle(event);
  }
  if (next_event_ == until) {
    events_.clear();
    next_event_ = 0;
  }
  if (events_.empty() && !woken_) return;
  drain_posted_ = true;
  boost::asio::post(main_, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->drain();
  });
}

void ProxyHub::handle(Event& event) {
  if (auto* accepted = std::get_if<std::unique_ptr<Event::Accepted>>(&event.what)) {
    return on_accepted(event.key, **accepted);
  }
  if (auto* dialed = std::get_if<std::unique_ptr<Event::Dialed>>(&event.what)) {
    return on_dialed(event.key, **dialed);
  }
  if (const auto* frame = std::get_if<Event::Frame>(&event.what)) {
    give_back(event.key, wire::kFrameHeaderSize + frame->size);
  }
  const auto found = proxies_.find(event.key);
  if (found == proxies_.end()) return;  // its owner dropped it; the worker hears of it
  const std::shared_ptr<Proxy> proxy = found->second->shared_from_this();
  std::visit(Overloaded{
                 [&](const Event::Frame& frame) {
                   const ByteView all{events_.bytes};
                   proxy->on_frame(frame.type, all.subspan(frame.offset, frame.size));
                 },
                 [&](const Event::Taken& taken) { proxy->on_taken(taken); },
                 [&](const Event::Stats& stats) { proxy->on_stats(stats.stats); },
                 [&](const std::unique_ptr<Event::Closed>& closed) {
                   proxy->on_closed(closed->info, closed->stats);
                 },
                 [](const auto&) {},  // handled above
             },
             event.what);
}

void ProxyHub::on_accepted(Key key, Event::Accepted& accepted) {
  auto session =
      make_session(std::make_shared<Proxy>(shared_from_this(), key, std::move(accepted.facts)));
  if (accepted.listener >= on_accept_.size()) return;  // stopped meanwhile: closes it
  // A copy: the handler may stop or drop the transport.
  const Transport::AcceptHandler on_accept = on_accept_[accepted.listener];
  on_accept(std::move(session));
}

void ProxyHub::on_dialed(Key key, Event::Dialed& dialed) {
  Result<std::unique_ptr<Session>> result = dialed.error;
  if (!dialed.error) {
    result = make_session(
        std::make_shared<Proxy>(shared_from_this(), dialed.session, std::move(dialed.facts)));
  }
  const auto found = dials_.find(key);
  if (found == dials_.end()) return;  // given up: closes the session
  found->second->result.emplace(std::move(result));
  found->second->ended.set();
}

/// Frames mostly come in runs of one session: a run is given back in one command.
void ProxyHub::give_back(Key key, std::size_t bytes) {
  if (!commands_.empty()) {
    Command& last = commands_.commands.back();
    if (auto* consumed = std::get_if<Command::Consumed>(&last.what); consumed && last.key == key) {
      consumed->bytes += bytes;
      return;
    }
  }
  send({key, Command::Consumed{bytes}});
}

}  // namespace tayga::transport::workers
