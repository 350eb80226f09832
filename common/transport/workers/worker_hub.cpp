#include "common/transport/workers/worker_hub.hpp"

#include "common/base/overloaded.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <deque>
#include <utility>

namespace tayga::transport::workers {
namespace {

constexpr std::size_t kDialsMax = 512;  // 64 peers, 8 addresses each

SessionFacts facts_of(const Session& session) {
  return {session.peer(), session.kind(), session.side(), session.remote_endpoint(),
          session.stats()};
}

bool same_figures(const SessionStats& a, const SessionStats& b) {
  return a.bytes_in == b.bytes_in && a.bytes_out == b.bytes_out &&
         a.media_frames_out == b.media_frames_out && a.queued_bytes == b.queued_bytes &&
         a.smoothed_rtt == b.smoothed_rtt;
}

}  // namespace

/// One session and what waits for it.
class WorkerHub::Agent final : public SessionHandler {
 public:
  Agent(WorkerHub& hub, Key key, std::unique_ptr<Session> session)
      : hub_{hub}, key_{key}, session_{std::move(session)}, reported_{session_->stats()} {}

  void on_frame(wire::FrameType type, ByteView payload) override {
    hub_.on_frame(*this, type, payload);
  }
  std::optional<OutboundMedia> next_media() override {
    if (media_.empty()) return std::nullopt;
    OutboundMedia next = std::move(media_.front());
    media_.pop_front();
    taken_.media_bytes += next.frame->size();
    hub_.mark_taken(*this);
    return next;
  }
  void on_closed(const CloseInfo& info) override { hub_.on_closed(*this, info); }

  void send_control(SharedBytes frame) {
    taken_.control_bytes += frame->size();
    session_->send_control(std::move(frame));
    hub_.mark_taken(*this);
  }
  void send_media(OutboundMedia media) {
    media_.push_back(std::move(media));
    session_->notify_media();
  }
  void close(std::string reason) {
    media_.clear();
    session_->close(std::move(reason));
  }
  void hold(Reading reading) {
    held_ = reading == Reading::off;
    session_->set_reading(reading);
  }

  [[nodiscard]] Key key() const noexcept { return key_; }
  [[nodiscard]] Session& session() noexcept { return *session_; }
  [[nodiscard]] bool is_held() const noexcept { return held_; }
  /// What was taken since the last call.
  Event::Taken give_back() {
    marked_ = false;
    return std::exchange(taken_, {});
  }
  /// True at the first call since give_back().
  bool mark() { return !std::exchange(marked_, true); }
  /// The session's figures when they changed since the last call.
  std::optional<SessionStats> changed_stats() {
    const SessionStats now = session_->stats();
    if (same_figures(now, reported_)) return std::nullopt;
    reported_ = now;
    return now;
  }

  std::size_t unread = 0;

 private:
  WorkerHub& hub_;
  const Key key_;
  std::unique_ptr<Session> session_;
  std::deque<OutboundMedia> media_;  // bounded by kMediaCreditMax and one frame
  Event::Taken taken_{};
  SessionStats reported_;
  bool marked_ = false;
  bool held_ = false;
};

WorkerHub::WorkerHub(boost::asio::any_io_executor executor, std::unique_ptr<Transport> transport,
                     std::shared_ptr<Channel> channel)
    : executor_{std::move(executor)},
      transport_{std::move(transport)},
      channel_{std::move(channel)},
      stats_timer_{executor_} {}

WorkerHub::~WorkerHub() = default;

Result<Endpoint> WorkerHub::listen(const Endpoint& local, std::size_t listener) {
  return transport_->listen(local, [this, listener](std::unique_ptr<Session> session) {
    SessionFacts facts = facts_of(*session);
    const Key key = add(std::move(session));
    report({key, std::make_unique<Event::Accepted>(Event::Accepted{listener, std::move(facts)})});
  });
}

void WorkerHub::stop_transport() {
  transport_->stop();
}

void WorkerHub::shut_down() {
  shut_down_ = true;
  transport_->stop();
  stats_timer_.cancel();
  agents_.clear();
  for (const auto& [key, group] : dials_) group->cancel();  // each holds us until it ended
}

// Commands.

void WorkerHub::on_commands() {
  if (shut_down_) return;
  channel_->commands.take(commands_);
  for (Command& command : commands_.commands) perform(command);
  commands_.clear();
}

void WorkerHub::perform(Command& command) {
  if (const auto* wanted = std::get_if<std::unique_ptr<Command::Dial>>(&command.what)) {
    return dial(command.key, **wanted);
  }
  if (std::holds_alternative<Command::CancelDial>(command.what)) {
    const auto found = dials_.find(command.key);
    if (found != dials_.end()) found->second->cancel();
    return;
  }
  if (const auto* consumed = std::get_if<Command::Consumed>(&command.what)) {
    return on_consumed(command.key, consumed->bytes);
  }
  const auto found = agents_.find(command.key);
  if (found == agents_.end()) return;  // it ended; the main thread hears of it
  Agent& agent = *found->second;
  std::visit(Overloaded{
                 [&](Command::Start&) { agent.session().start(agent); },
                 [&](Command::Control& control) { agent.send_control(std::move(control.frame)); },
                 [&](Command::Media& media) { agent.send_media(std::move(media.media)); },
                 [&](Command::Close& close) { agent.close(std::move(close.reason)); },
                 [&](Command::Abandon&) { agents_.erase(found); }, [](auto&) {},  // handled above
             },
             command.what);
}

Key WorkerHub::add(std::unique_ptr<Session> session) {
  const Key key = ++last_key_;
  agents_.emplace(key, std::make_unique<Agent>(*this, key, std::move(session)));
  arm_stats();
  return key;
}

void WorkerHub::dial(Key key, const Command::Dial& dial) {
  if (dials_.size() >= kDialsMax) {
    auto refused = std::make_unique<Event::Dialed>();
    refused->error = TransportErrc::too_many_sessions;
    return report({key, std::move(refused)});
  }
  auto group = std::make_unique<async::TaskGroup>(executor_, "dial", 1);
  async::TaskGroup& added = *group;
  dials_.emplace(key, std::move(group));
  (void)added.spawn(run_dial(shared_from_this(), key, dial));
}

async::Task<void> WorkerHub::run_dial(std::shared_ptr<WorkerHub> hub, Key key, Command::Dial dial) {
  auto session = co_await hub->transport_->connect(dial.remote, dial.expected, dial.timeout);
  hub->ended_dials_.push_back(key);  // its group is destroyed when this task is over
  hub->schedule_flush();
  if (hub->shut_down_) co_return;
  auto dialed = std::make_unique<Event::Dialed>();
  if (session) {
    dialed->facts = facts_of(**session);
    dialed->session = hub->add(std::move(*session));
  } else {
    dialed->error = session.error();
  }
  Event event{key, std::move(dialed)};
  hub->report(std::move(event));
}

void WorkerHub::on_consumed(Key key, std::size_t bytes) {
  unread_ -= std::min(bytes, unread_);
  if (const auto found = agents_.find(key); found != agents_.end()) {
    found->second->unread -= std::min(bytes, found->second->unread);
  }
  if (held_.empty() || unread_ > kWorkerUnreadPause / 2) return;
  std::erase_if(held_, [this](Key held) {
    const auto found = agents_.find(held);
    if (found == agents_.end()) return true;
    if (found->second->unread > kUnreadPause / 2) return false;
    found->second->hold(Reading::on);
    return true;
  });
}

// What the sessions tell.

void WorkerHub::on_frame(Agent& agent, wire::FrameType type, ByteView payload) {
  const std::size_t size = wire::kFrameHeaderSize + payload.size();
  if (agent.unread + size > kUnreadMax) {
    return on_closed(agent, {CloseInfo::Reason::overflow,
                             std::to_string(agent.unread) + " received bytes not taken"});
  }
  agent.unread += size;
  unread_ += size;
  const std::size_t offset = events_.bytes.size();
  events_.bytes.insert(events_.bytes.end(), payload.begin(), payload.end());
  report({agent.key(), Event::Frame{type, offset, payload.size()}});
  if (agent.is_held() || (agent.unread <= kUnreadPause && unread_ <= kWorkerUnreadPause)) return;
  held_.push_back(agent.key());
  agent.hold(Reading::off);
}

void WorkerHub::on_closed(Agent& agent, const CloseInfo& info) {
  report(
      {agent.key(), std::make_unique<Event::Closed>(Event::Closed{info, agent.session().stats()})});
  agents_.erase(agent.key());
}

// Batches.

void WorkerHub::report(Event event) {
  events_.events.push_back(std::move(event));
  schedule_flush();
}

void WorkerHub::mark_taken(Agent& agent) {
  if (!agent.mark()) return;
  taken_from_.push_back(agent.key());
  schedule_flush();
}

void WorkerHub::schedule_flush() {
  if (std::exchange(flush_posted_, true)) return;
  boost::asio::post(executor_, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->flush();
  });
}

void WorkerHub::flush() {
  flush_posted_ = false;
  for (const Key key : std::exchange(ended_dials_, {})) dials_.erase(key);
  if (shut_down_) return;
  for (const Key key : taken_from_) {
    const auto found = agents_.find(key);
    if (found != agents_.end()) events_.events.push_back({key, found->second->give_back()});
  }
  taken_from_.clear();
  if (!events_.empty() && channel_->events.push(events_)) channel_->wake_main();
}

void WorkerHub::arm_stats() {
  if (stats_armed_ || shut_down_) return;
  stats_armed_ = true;
  stats_timer_.expires_after(kStatsPeriod);
  stats_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    const auto self = weak.lock();
    if (!self) return;
    self->stats_armed_ = false;
    if (!ec) self->report_stats();
  });
}

void WorkerHub::report_stats() {
  for (const auto& [key, agent] : agents_) {
    if (const auto stats = agent->changed_stats()) report({key, Event::Stats{*stats}});
  }
  if (!agents_.empty()) arm_stats();
}

}  // namespace tayga::transport::workers
