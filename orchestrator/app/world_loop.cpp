#include "orchestrator/app/world_loop.hpp"

#include "common/async/clock.hpp"
#include "common/base/encoding.hpp"
#include "common/log/log.hpp"
#include "orchestrator/app/tamper_evidence.hpp"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <chrono>

namespace tayga::orch {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kAllocationIdOffset = 24;  // common/wire/allocation.hpp

WorldNow now_of_world() {
  const auto wall = async::Clock::wall_now().time_since_epoch();
  return {async::Clock::now(), std::chrono::duration_cast<std::chrono::milliseconds>(wall).count()};
}

Bytes to_address_bytes(const std::string& numeric) {
  boost::system::error_code ec;
  const auto address = asio::ip::make_address(numeric, ec);
  Bytes out;
  if (ec) return out;
  const auto append = [&out](const auto& bytes) {
    for (const auto byte : bytes) out.push_back(static_cast<std::byte>(byte));
  };
  if (address.is_v4()) {
    append(address.to_v4().to_bytes());
  } else {
    append(address.to_v6().to_bytes());
  }
  return out;
}

/// "Not stored, try again" for every item: the node keeps its receipts and submits them later.
ReceiptAnswers refuse_all(const ReceiptBatch& batch) {
  ReceiptAnswers out;
  out.batch = batch.batch;
  for (const Bytes& item : batch.items) {
    SettleAnswer answer;
    if (item.size() == wire::kSettlementItemSize) {
      answer.allocation =
          *AllocationId::from(ByteView{item}.subspan(kAllocationIdOffset, AllocationId::kSize));
    }
    out.items.push_back(answer);
  }
  return out;
}

}  // namespace

WorldLoop::WorldLoop(WorldLoopOptions options, const Parts& parts)
    : options_{std::move(options)},
      parts_{parts},
      world_{options_.world},
      guard_{asio::make_work_guard(context_)},
      timer_{context_},
      online_key_{options_.online_key_not_after_ms} {}

WorldLoop::~WorldLoop() {
  stop();
}

void WorldLoop::restore(std::vector<NodeRecord> nodes, std::vector<StreamRecord> streams) {
  const WorldNow now = now_of_world();
  epoch_ = accounting_epoch(now.wall_ms);
  world_.restore(std::move(nodes), std::move(streams), now);
  housekeeping_at_ = now.mono + kHousekeepingInterval;
  publish_snapshot(now);
}

void WorldLoop::start() {
  thread_ = std::thread{[this] {
    on_wake();
    context_.run();
  }};
}

void WorldLoop::stop() {
  if (!thread_.joinable()) return;
  // The loop ends by itself when nothing is left to do: what was taken is looked at first.
  asio::post(context_, [this] {
    on_wake();
    stopping_ = true;
    timer_.cancel();
  });
  guard_.reset();
  thread_.join();
}

// ---- any thread ----

std::string WorldLoop::trouble() const {
  return OnlineKeyWatch{options_.online_key_not_after_ms}.trouble(now_of_world().wall_ms);
}

WorldLoop::SnapshotPtr WorldLoop::snapshot() const {
  const std::scoped_lock lock{snapshot_mutex_};
  return snapshot_;
}

NodeSink::Admission WorldLoop::on_event(const SessionInfo& session, NodeEvent event) {
  if (auto* receipts = std::get_if<ReceiptBatch>(&event)) {
    // Straight to the store's thread: the ledger believes signatures, not the state of the world.
    if (!parts_.store.submit(session, *receipts)) {
      parts_.meters.on_overload();
      parts_.gateway.push(session.id, refuse_all(*receipts));
    }
    return Admission::taken;
  }
  switch (inbox_.put(session, std::move(event), async::Clock::now())) {
    case Inbox::Put::taken:
      return Admission::taken;
    case Inbox::Put::taken_first:
      wake();
      return Admission::taken;
    case Inbox::Put::full:
      break;
  }
  parts_.meters.on_overload();
  return Admission::overloaded;
}

void WorldLoop::on_closed(const SessionInfo& session) {
  if (inbox_.put_end(session, async::Clock::now()) == Inbox::Put::taken_first) wake();
}

void WorldLoop::wake() {
  asio::post(context_, [this] { on_wake(); });
}

void WorldLoop::add_stream(StreamRecord stream, Done done) {
  asio::post(context_, [this, stream = std::move(stream), done = std::move(done)]() mutable {
    const std::string name = stream.name;
    Result<void> added;
    step([&](WorldNow now) { added = world_.add_stream(std::move(stream), now); });
    if (!added) return done(added.error().message());
    publish_snapshot(now_of_world());
    const bool asked =
        parts_.store.confirm_stream(name, [this, name, done](std::optional<std::string> error) {
          if (!error) return done(std::nullopt);
          // Not on disk, so it must not live on in memory either.
          remove_stream(name, [done, error](const std::optional<std::string>&) { done(error); });
        });
    if (!asked) done("the store is busy; try again");
  });
}

void WorldLoop::remove_stream(std::string name, Done done) {
  asio::post(context_, [this, name = std::move(name), done = std::move(done)] {
    Result<void> removed;
    step([&](WorldNow now) { removed = world_.remove_stream(name, now); });
    if (!removed) return done(removed.error().message());
    publish_snapshot(now_of_world());
    if (!parts_.store.confirm_stream(name, done)) done("the store is busy; try again");
  });
}

// ---- the world's thread ----

void WorldLoop::on_wake() {
  Inbox::Contents contents = inbox_.take();
  step([&](WorldNow now) {
    for (Inbox::Item& item : contents.items) take(std::move(item));
    for (auto& [session, telemetry] : contents.telemetry) {
      on_telemetry(session, std::move(telemetry), now);
    }
  });
}

void WorldLoop::step(const std::function<void(WorldNow)>& change) {
  const WorldNow now = now_of_world();
  pushed_in_step_ = 0;
  change(now);
  snapshot_stale_ = true;
  perform_outputs();
  settle(now);
}

/// What follows every change and every timer: due decisions, snapshot, housekeeping, next timer.
void WorldLoop::settle(WorldNow now) {
  if (const auto due = world_.next_timeout(); due && *due <= now.mono) {
    world_.on_timeout(now);
    perform_outputs();
    snapshot_stale_ = true;
  }
  if (pushed_in_step_ > 0) parts_.meters.observe_solve(async::Clock::now() - now.mono);
  if (now.mono >= housekeeping_at_) keep_house(now);
  if (snapshot_stale_ && now.mono >= snapshot_at_ + kSnapshotInterval) publish_snapshot(now);
  arm_timer();
}

void WorldLoop::perform_outputs() {
  while (auto output = world_.poll_output()) {
    std::visit([this](auto&& o) { perform(std::forward<decltype(o)>(o)); }, std::move(*output));
  }
}

void WorldLoop::arm_timer() {
  if (stopping_) return;
  TimePoint due = std::min(world_.next_timeout().value_or(TimePoint::max()), housekeeping_at_);
  if (snapshot_stale_) due = std::min(due, snapshot_at_ + kSnapshotInterval);
  timer_.expires_at(async::Clock::to_steady(due));
  timer_.async_wait([this](const boost::system::error_code& ec) {
    if (!ec) on_timer();
  });
}

void WorldLoop::on_timer() {
  pushed_in_step_ = 0;
  settle(now_of_world());
}

void WorldLoop::publish_snapshot(WorldNow now) {
  SnapshotPtr made = world_.snapshot(now);
  snapshot_at_ = now.mono;
  snapshot_stale_ = false;
  const std::scoped_lock lock{snapshot_mutex_};
  snapshot_ = std::move(made);
}

void WorldLoop::watch_online_key(WorldNow now) {
  const auto notice = online_key_.poll_notice(now.wall_ms);
  if (!notice) return;
  if (notice->expired) {
    log::error(online_key_.trouble(now.wall_ms));
  } else {
    log::warn(
        "the online key expires soon; run `tayga-orchestrator init --renew-online-key` and "
        "restart",
        log::field("hours_left", notice->hours_left));
  }
}

/// The online key's end, allocations near theirs, and the turn of the accounting epoch.
void WorldLoop::keep_house(WorldNow now) {
  housekeeping_at_ = now.mono + kHousekeepingInterval;
  watch_online_key(now);
  if (auto missing = parts_.epochs.missing(now.wall_ms); !missing.empty()) {
    const auto learn = [this](std::uint32_t epoch, const EpochSecret& secret) {
      asio::post(context_, [this, epoch, secret] { parts_.epochs.add(epoch, secret); });
    };
    if (!parts_.store.ensure_epochs(std::move(missing), learn)) {
      log::warn("the store is too busy to make the next epoch's secret; trying again");
    }
  }
  if (now.mono >= tamper_forget_at_) {
    tamper_reporters_.clear();
    tamper_forget_at_ = now.mono + kTamperMemory;
  }
  const std::uint32_t today = accounting_epoch(now.wall_ms);
  // Until today's secret is there, allocations are signed in the newest epoch that is known.
  const bool turned = today != epoch_ && parts_.epochs.has(today);
  if (!turned && !parts_.issuer.has_due(now.wall_ms)) return;
  if (turned) {
    epoch_ = today;
    parts_.epochs.prune(now.wall_ms);
  }
  if (turned) {
    world_.on_renew_allocations(now);
  } else {
    world_.on_renew_allocations(parts_.issuer.due(now.wall_ms), now);
  }
  perform_outputs();
  parts_.issuer.end_renewal(now.wall_ms);
}

bool WorldLoop::is_current(const SessionInfo& session) const {
  const SessionInfo* current = session_of(session.node);
  return current != nullptr && current->id == session.id;
}

const SessionInfo* WorldLoop::session_of(const NodeId& node) const {
  const auto at = sessions_.find(node);
  return at == sessions_.end() ? nullptr : &at->second;
}

void WorldLoop::take(Inbox::Item item) {
  const WorldNow now = now_of_world();
  if (!item.event) return on_session_end(item.session, now);
  if (auto* hello = std::get_if<Hello>(&*item.event)) {
    return on_hello(item.session, std::move(*hello), now);
  }
  if (!is_current(item.session)) return;  // a newer session speaks for the node
  const NodeId& node = item.session.node;
  if (auto* join = std::get_if<JoinRequest>(&*item.event)) {
    parts_.meters.on_join();
    world_.on_join(node, join->stream_name, std::move(join->tracks), now);
  } else if (const auto* leave = std::get_if<LeaveRequest>(&*item.event)) {
    parts_.meters.on_leave();
    world_.on_leave(node, leave->stream_name, now);
  } else if (const auto* publish = std::get_if<World::Publish>(&*item.event)) {
    if (const Result<void> taken = world_.on_publish(node, *publish, now); !taken) {
      static log::SiteLimit limit{5, 60s};
      const auto who = [&node] { return short_string(node); };
      log::at(limit, log::Level::warn, "a publisher's claim is refused", log::field("node", who),
              log::field("stream", publish->stream_name), log::field("reason", taken.error()));
    }
  } else if (const auto* failure = std::get_if<World::LinkFailure>(&*item.event)) {
    parts_.meters.on_link_failure();
    world_.on_link_failure(node, *failure, now);
  } else if (const auto* report = std::get_if<TamperReport>(&*item.event)) {
    on_tamper_report(node, *report, now);
  } else if (std::holds_alternative<Goodbye>(*item.event)) {
    world_.on_goodbye(node, now);
    parts_.issuer.on_disconnected(node);
  }
}

void WorldLoop::on_hello(const SessionInfo& session, Hello hello, WorldNow now) {
  const NodeRecord* known = world_.node(session.node);
  if (known != nullptr && !known->ban_reason.empty()) return ban(session);
  if (const SessionInfo* current = session_of(session.node);
      current != nullptr && session.id < current->id) {
    return;  // overtaken by a newer session of its node; the gateway closes this one
  }
  std::set<StreamId> held;
  for (const World::Held& stream : hello.held) held.insert(stream.stream);
  parts_.issuer.forget(session.node, held);
  const Result<void> taken = world_.on_hello(hello.node, std::move(hello.held), now);
  if (!taken) {
    return parts_.gateway.close(session.id, CloseReason::refused, taken.error().message());
  }
  sessions_.insert_or_assign(session.node, session);
  welcome(session, now);
  const auto who = [&] { return to_string(session.node); };
  static log::SiteLimit limit{20, 60s};
  log::at(limit, log::Level::info, "node connected", log::field("node", who),
          log::field("name", hello.node.name), log::field("software", hello.node.software));
}

void WorldLoop::welcome(const SessionInfo& session, WorldNow now) {
  Welcome welcome = options_.welcome;
  welcome.time_ms = static_cast<std::uint64_t>(now.wall_ms);
  welcome.observed_address = to_address_bytes(session.address);
  parts_.gateway.push(session.id, std::move(welcome));
}

void WorldLoop::on_session_end(const SessionInfo& session, WorldNow now) {
  if (!is_current(session)) return;
  sessions_.erase(session.node);
  parts_.issuer.on_disconnected(session.node);
  const auto of_node = unapplied_.lower_bound({session.node, StreamId{}});
  auto end = of_node;
  while (end != unapplied_.end() && end->first.first == session.node) ++end;
  unapplied_.erase(of_node, end);
  world_.on_disconnected(session.node, now);
  const auto who = [&] { return to_string(session.node); };
  static log::SiteLimit limit{20, 60s};
  log::at(limit, log::Level::info, "node disconnected", log::field("node", who));
}

void WorldLoop::on_tamper_report(const NodeId& reporter, const TamperReport& report, WorldNow now) {
  const auto stream = find_tampered_stream(
      report, [this](const StreamId& id) { return world_.stream(id) != nullptr; });
  // Bytes do not say who sent them; only a child that we gave to the accused is believed.
  const bool proven = stream && parts_.issuer.has_granted(*stream, report.sender, reporter);
  parts_.meters.on_tampering(proven);
  const auto accused = [&] { return to_string(report.sender); };
  const auto accuser = [&] { return to_string(reporter); };
  static log::SiteLimit limit{5, 60s};
  log::at(limit, log::Level::warn, "tampering reported", log::field("sender", accused),
          log::field("reporter", accuser), log::field("proven", proven));
  if (!proven) return;
  std::set<NodeId>& reporters = tamper_reporters_[report.sender];
  reporters.insert(reporter);
  if (reporters.size() < kTamperReportersMin) return;
  tamper_reporters_.erase(report.sender);
  world_.on_tampering(report.sender, now);
  if (const SessionInfo* session = session_of(report.sender)) ban(*session);
}

/// Pre: the World knows the node.
void WorldLoop::ban(const SessionInfo& session) {
  const std::string reason = world_.node(session.node)->ban_reason;
  parts_.gateway.push(session.id, BanNotice{reason});
  parts_.gateway.close(session.id, CloseReason::banned, "banned: " + reason);
}

void WorldLoop::on_telemetry(const SessionInfo& session, Telemetry telemetry, WorldNow now) {
  if (!is_current(session)) return;
  for (const auto& [stream, revision] : telemetry.applied) {
    const auto pushed = unapplied_.find({session.node, stream});
    if (pushed == unapplied_.end() || pushed->second.first > revision) continue;
    parts_.meters.observe_revision_latency(now.mono - pushed->second.second);
    unapplied_.erase(pushed);
  }
  world_.on_telemetry(session.node, std::move(telemetry), now);
}

// ---- what the World decided ----

void WorldLoop::perform(World::PushAssignment output) {
  const SessionInfo* session = session_of(output.assignment.node);
  if (session == nullptr) return;
  NodeAssignment& target = output.assignment;
  const WorldNow now = now_of_world();
  const StreamRecord* stream = world_.stream(target.stream);
  if (stream == nullptr) return;
  const auto nodes = [this](const NodeId& id) { return world_.node(id); };
  const std::uint64_t signed_before = parts_.issuer.signed_total();
  IssuedAssignment issued = parts_.issuer.issue(target, *stream, nodes, now.wall_ms);
  parts_.meters.on_assignment_pushed(parts_.issuer.signed_total() - signed_before);
  ++pushed_in_step_;
  unapplied_.insert_or_assign({target.node, target.stream}, std::pair{target.revision, now.mono});
  parts_.gateway.push(session->id, std::move(issued));
}

void WorldLoop::perform(World::PushOffer output) {
  const SessionInfo* session = session_of(output.gateway);
  if (session == nullptr) return;
  PublishOffer offer;
  offer.stream_name = output.stream.name;
  offer.stripe_count = output.stream.stripe_count;
  offer.ingest_key_hash = output.stream.ingest_key_hash;
  offer.origin_url = output.stream.origin_url;
  offer.window = output.stream.playout_window;
  parts_.gateway.push(session->id, std::move(offer));
}

void WorldLoop::perform(World::PushWithdrawn output) {
  const SessionInfo* session = session_of(output.gateway);
  if (session != nullptr) {
    parts_.gateway.push(session->id, PublishWithdrawal{std::move(output.stream_name)});
  }
}

void WorldLoop::perform(World::RefuseJoin output) {
  const SessionInfo* session = session_of(output.node);
  parts_.meters.on_join_refused();
  if (session == nullptr) return;
  JoinRefusal refusal;
  refusal.stream_name = std::move(output.stream_name);
  refusal.reason = output.reason;
  refusal.message = std::move(output.message);
  parts_.gateway.push(session->id, std::move(refusal));
}

void WorldLoop::perform(World::PersistNode output) {
  parts_.store.put_node(std::move(output.node));
}
void WorldLoop::perform(World::PersistStream output) {
  parts_.store.put_stream(std::move(output.stream));
}
void WorldLoop::perform(World::EraseStream output) {
  parts_.store.erase_stream(output.name);
}

}  // namespace tayga::orch
