#include "common/http/fetch.hpp"

#include "common/async/event.hpp"
#include "common/http/curl_worker.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

#include <atomic>
#include <map>
#include <mutex>
#include <utility>

namespace tayga::http {
namespace {

namespace asio = boost::asio;
using async::Task;

/// Of one transfer, between the worker and the callbacks.
constexpr std::size_t kBehindMax = 1024 * 1024;

/// What both threads know of a transfer.
struct Flow {
  std::mutex mutex;  // guards both below
  std::size_t behind = 0;
  bool paused = false;
};

}  // namespace

/// Entries live on the executor's thread; the worker only posts to it and looks up flows.
struct Fetcher::Impl : std::enable_shared_from_this<Impl> {
  struct Entry {
    OnHead on_head;
    OnData on_data;
    OnDone on_done;
    std::shared_ptr<Flow> flow;
    asio::executor_work_guard<asio::any_io_executor> work;  // the executor must wait for the end
  };

  Impl(asio::any_io_executor ex, FetcherOptions opts)
      : executor{std::move(ex)}, options{std::move(opts)} {}

  void start_worker();
  void post_head(TransferId id, FetchHead head);
  bool on_worker_data(TransferId id, ByteView bytes);
  void post_done(TransferId id, FetchDone done);
  void deliver(TransferId id, const SharedBytes& bytes);

  const asio::any_io_executor executor;
  const FetcherOptions options;
  std::map<TransferId, Entry> entries;
  TransferId last_id{0};

  std::mutex flows_mutex;  // guards flows
  std::map<TransferId, std::shared_ptr<Flow>> flows;

  std::unique_ptr<CurlWorker> worker;
};

void Fetcher::Impl::start_worker() {
  CurlWorker::Events events;
  // The worker is joined before this object ends its life with the last Fetcher.
  events.on_head = [this](TransferId id, FetchHead head) { post_head(id, std::move(head)); };
  events.on_data = [this](TransferId id, ByteView bytes) { return on_worker_data(id, bytes); };
  events.on_done = [this](TransferId id, FetchDone done) { post_done(id, std::move(done)); };
  worker = std::make_unique<CurlWorker>(options, std::move(events));
}

void Fetcher::Impl::post_head(TransferId id, FetchHead head) {
  asio::post(executor, [weak = weak_from_this(), id, head = std::move(head)] {
    const auto self = weak.lock();
    if (!self) return;
    const auto found = self->entries.find(id);
    if (found == self->entries.end() || !found->second.on_head) return;
    const OnHead on_head = std::move(found->second.on_head);  // it may cancel its own transfer
    on_head(head);
  });
}

bool Fetcher::Impl::on_worker_data(TransferId id, ByteView bytes) {
  std::shared_ptr<Flow> flow;
  {
    const std::scoped_lock lock{flows_mutex};
    const auto found = flows.find(id);
    if (found == flows.end()) return true;  // cancelled: the worker will hear of it
    flow = found->second;
  }
  {
    const std::scoped_lock lock{flow->mutex};
    if (flow->behind > 0 && flow->behind + bytes.size() > kBehindMax) {
      flow->paused = true;
      return false;
    }
    flow->behind += bytes.size();
  }
  asio::post(executor, [weak = weak_from_this(), id, copy = make_shared_bytes(bytes)] {
    if (const auto self = weak.lock()) self->deliver(id, copy);
  });
  return true;
}

void Fetcher::Impl::deliver(TransferId id, const SharedBytes& bytes) {
  const auto found = entries.find(id);
  if (found == entries.end()) return;
  const auto flow = found->second.flow;
  {
    const std::scoped_lock lock{flow->mutex};
    flow->behind -= bytes->size();
    if (std::exchange(flow->paused, false)) worker->resume(id);
  }
  const OnData on_data = found->second.on_data;  // a copy: it may cancel its own transfer
  on_data(*bytes);
}

void Fetcher::Impl::post_done(TransferId id, FetchDone done) {
  asio::post(executor, [weak = weak_from_this(), id, done = std::move(done)] {
    const auto self = weak.lock();
    if (!self) return;
    {
      const std::scoped_lock lock{self->flows_mutex};
      self->flows.erase(id);
    }
    const auto found = self->entries.find(id);
    if (found == self->entries.end()) return;
    const OnDone on_done = std::move(found->second.on_done);
    self->entries.erase(found);
    on_done(done);
  });
}

Fetcher::Fetcher(asio::any_io_executor executor, FetcherOptions options)
    : impl_{std::make_shared<Impl>(std::move(executor), std::move(options))} {
  impl_->start_worker();
}

Fetcher::~Fetcher() {
  impl_->worker.reset();
  impl_->entries.clear();
}

TransferId Fetcher::get(FetchRequest request, OnData on_data, OnDone on_done) {
  return get(std::move(request), {}, std::move(on_data), std::move(on_done));
}

TransferId Fetcher::get(FetchRequest request, OnHead on_head, OnData on_data, OnDone on_done) {
  const TransferId id = impl_->last_id = impl_->last_id.next();
  const bool full = impl_->entries.size() >= impl_->options.queued_max;
  auto flow = std::make_shared<Flow>();
  impl_->entries.emplace(id, Impl::Entry{std::move(on_head), std::move(on_data), std::move(on_done),
                                         flow, asio::make_work_guard(impl_->executor)});
  if (full) {
    FetchDone done;
    done.error = HttpErrc::queue_full;
    done.message = "cannot fetch " + printable_url(request.url) + ": " + done.error.message();
    impl_->post_done(id, std::move(done));
    return id;
  }
  {
    const std::scoped_lock lock{impl_->flows_mutex};
    impl_->flows.emplace(id, std::move(flow));
  }
  impl_->worker->start(id, std::move(request));
  return id;
}

void Fetcher::cancel(TransferId id) {
  if (impl_->entries.erase(id) == 0) return;
  {
    const std::scoped_lock lock{impl_->flows_mutex};
    impl_->flows.erase(id);
  }
  impl_->worker->cancel(id);
}

std::size_t Fetcher::transfer_count() const noexcept {
  return impl_->entries.size();
}

Task<Fetched> fetch_whole(Fetcher& fetcher, FetchRequest request) {
  // Shared with the callbacks; cancelling releases those.
  struct State {
    explicit State(asio::any_io_executor executor) : ended{std::move(executor)} {}
    Fetched fetched;
    async::Event ended;
  };
  const auto executor = co_await asio::this_coro::executor;
  const auto state = std::make_shared<State>(executor);
  Fetcher::OnData on_data = [state](ByteView bytes) {
    state->fetched.body.insert(state->fetched.body.end(), bytes.begin(), bytes.end());
  };
  Fetcher::OnDone on_done = [state](const FetchDone& done) {
    state->fetched.done = done;
    state->ended.set();
  };
  const TransferId id = fetcher.get(std::move(request), std::move(on_data), std::move(on_done));
  const auto waited = co_await state->ended.wait();
  if (waited != async::WaitResult::signalled) {
    fetcher.cancel(id);
    state->fetched.done.error = HttpErrc::cancelled;
  }
  co_return std::move(state->fetched);
}

std::string printable_url(std::string_view url) {
  std::string out{url.substr(0, url.find_first_of("?#"))};
  const auto authority = out.find("://");
  if (authority == std::string::npos) return out;
  const auto begin = authority + 3;
  const auto end = std::min(out.find('/', begin), out.size());
  const auto at = out.rfind('@', end);
  if (at != std::string::npos && at >= begin) out.erase(begin, at + 1 - begin);
  return out;
}

}  // namespace tayga::http
