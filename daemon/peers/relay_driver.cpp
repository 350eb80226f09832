#include "daemon/peers/relay_driver.hpp"

#include "common/base/check.hpp"
#include "common/base/encoding.hpp"
#include "common/base/overloaded.hpp"
#include "common/log/log.hpp"
#include "common/transport/dual/dial_race.hpp"
#include "daemon/control/peer_codec.hpp"

#include <algorithm>
#include <utility>
#include <variant>

namespace tayga::peers {
namespace {

constexpr std::size_t kSurplusMax = 64;
constexpr Duration kCloseTimeout = 1s;
constexpr std::size_t kAddressesMax = 8;  ///< of one peer that a dial tries
/// Of an address over the next one: longer than a handshake over TCP where UDP does not pass.
constexpr Duration kAddressHeadStart = 600ms;

/// An exception from an action must not leave the driver deaf for all that follows.
class Performing {
 public:
  explicit Performing(bool& flag) : flag_{flag} { flag_ = true; }
  ~Performing() { flag_ = false; }
  Performing(const Performing&) = delete;
  Performing& operator=(const Performing&) = delete;

 private:
  bool& flag_;
};

relay::LossReason to_loss(transport::CloseInfo::Reason reason) noexcept {
  switch (reason) {
    case transport::CloseInfo::Reason::local:
    case transport::CloseInfo::Reason::remote:
      return relay::LossReason::closed;
    case transport::CloseInfo::Reason::idle:
      return relay::LossReason::silent;
    case transport::CloseInfo::Reason::reset:
    case transport::CloseInfo::Reason::protocol:
    case transport::CloseInfo::Reason::overflow:
    case transport::CloseInfo::Reason::stalled:
      return relay::LossReason::reset;
  }
  return relay::LossReason::reset;
}

}  // namespace

/// One peer session with what the driver knows of it.
class RelayDriver::Link final : public transport::SessionHandler {
 public:
  Link(RelayDriver& driver, std::unique_ptr<transport::Session> session, Duration dial_time)
      : driver_{driver},
        session_{std::move(session)},
        since_{async::Clock::now()},
        dial_time_{dial_time} {
    if (driver_.options_.upload != nullptr) seat_.emplace(*driver_.options_.upload, *session_);
  }

  void start() { session_->start(*this); }
  void send(const relay::PeerMessage& message) {
    SharedBytes frame = control::encode_control_frame(message);
    if (seat_) seat_->on_control(frame->size());
    session_->send_control(std::move(frame));
  }
  void close(const std::string& reason) {
    closing_ = true;
    session_->close(reason);
  }

  void on_frame(wire::FrameType type, ByteView payload) override {
    if (closing_) return;
    if (type == wire::FrameType::control) return on_control(payload);
    if (!up_) return close("media before hello");
    driver_.input([&](relay::Relay& relay, relay::Now at) {
      relay.on_media(session_->peer(), type, payload, at);
    });
  }
  std::optional<transport::OutboundMedia> next_media() override {
    if (!up_) return std::nullopt;
    if (seat_ && !seat_->admit()) return std::nullopt;  // notify_media() comes with its turn
    auto media = driver_.relay_.next_media(session_->peer(), now());
    if (!media) {
      if (seat_) seat_->on_no_media();
      return std::nullopt;
    }
    if (seat_) seat_->on_media(media->frame->size());
    transport::FlowId flow{media->stream_tag, media->track};
    return transport::OutboundMedia{flow, std::move(media->frame)};
  }
  void on_closed(const transport::CloseInfo& info) override { driver_.on_link_closed(*this, info); }

  [[nodiscard]] transport::Session& session() noexcept { return *session_; }
  [[nodiscard]] const transport::Session& session() const noexcept { return *session_; }
  [[nodiscard]] TimePoint since() const noexcept { return since_; }
  [[nodiscard]] Duration dial_time() const noexcept { return dial_time_; }
  [[nodiscard]] bool is_up() const noexcept { return up_; }
  [[nodiscard]] bool is_closing() const noexcept { return closing_; }
  void set_up(bool up) noexcept { up_ = up; }
  [[nodiscard]] bool is_known_up() const noexcept { return known_up_; }
  void set_known_up(bool known) noexcept { known_up_ = known; }

 private:
  void on_control(ByteView payload) {
    const Result<relay::PeerMessage> message = control::decode_control(payload);
    if (!message && message.error() == control::ControlErrc::unknown_message) return;
    if (!message) {
      log::debug("peer sent a malformed control frame",
                 log::field("peer", [&] { return short_string(session_->peer()); }),
                 log::field("error", message.error()));
      return close("malformed control frame");
    }
    if (const auto* hello = std::get_if<relay::Hello>(&*message)) {
      return driver_.on_link_hello(*this, *hello);
    }
    if (!up_) return close("message before hello");
    if (const auto* ping = std::get_if<relay::Ping>(&*message)) {
      return send(relay::Pong{ping->nonce});
    }
    if (std::holds_alternative<relay::Pong>(*message)) return;  // hearing it was its purpose
    driver_.input([&](relay::Relay& relay, relay::Now at) {
      relay.on_message(session_->peer(), *message, at);
    });
  }

  RelayDriver& driver_;
  std::unique_ptr<transport::Session> session_;
  std::optional<UploadGate::Seat> seat_;  // ends before the session
  TimePoint since_;
  Duration dial_time_;
  bool up_ = false;        // hello exchanged on this session
  bool known_up_ = false;  // the relay believes that the peer is up, by this session or its last
  bool closing_ = false;
};

RelayDriver::RelayDriver(boost::asio::any_io_executor executor, relay::Relay& relay,
                         transport::Transport& transport, RelayEvents& events, Options options)
    : executor_{executor},
      relay_{relay},
      transport_{transport},
      events_{events},
      options_{std::move(options)},
      timer_{executor},
      ping_timer_{executor},
      hello_timer_{executor},
      settled_{executor},
      dials_{executor, "dials", options_.dials_max} {
  on_ping_time();
}

RelayDriver::~RelayDriver() = default;

relay::Now RelayDriver::now() noexcept {
  return {async::Clock::now(), async::Clock::wall_now()};
}

Result<transport::Endpoint> RelayDriver::listen(const transport::Endpoint& local) {
  return transport_.listen(local, [this](std::unique_ptr<transport::Session> session) {
    adopt(std::move(session), Duration{0});
  });
}

void RelayDriver::set_network(const NetworkId& network) {
  network_ = network;
  input([&](relay::Relay& relay, relay::Now) { relay.on_network(network); });
}

void RelayDriver::set_addresses(const StreamId& stream,
                                std::map<NodeId, std::vector<transport::Endpoint>> addresses) {
  if (addresses.empty()) {
    addresses_.erase(stream);
  } else {
    addresses_[stream] = std::move(addresses);
  }
}

void RelayDriver::perform() {
  if (performing_) return;  // the outer call drains what this input added
  {
    const Performing performing{performing_};
    while (auto action = relay_.poll_action()) perform_one(std::move(*action));
  }
  if (draining_) settled_.pulse();
  arm_timer();
}

void RelayDriver::perform_one(relay::Relay::Action&& action) {
  const auto link_of = [this](const NodeId& peer) -> Link* {
    const auto found = links_.find(peer);
    return found == links_.end() ? nullptr : found->second.get();
  };
  std::visit(Overloaded{
                 [&](relay::Relay::Connect& connect) { dial(connect.peer); },
                 [&](relay::Relay::Disconnect& disconnect) {
                   if (Link* link = link_of(disconnect.peer)) link->close(disconnect.reason);
                 },
                 [&](relay::Relay::Send& send) {
                   if (Link* link = link_of(send.peer)) link->send(send.message);
                 },
                 [&](relay::Relay::MediaReady& ready) {
                   if (Link* link = link_of(ready.peer)) link->session().notify_media();
                 },
                 [&](relay::Relay::ParentLost& lost) { events_.on_parent_lost(lost); },
                 [&](relay::Relay::Suspected& suspected) { events_.on_suspected(suspected); },
                 [&](relay::Relay::Repaired& repaired) { events_.on_repaired(repaired); },
                 [&](relay::Relay::FetchOrigin& fetch) { events_.on_fetch_origin(fetch); },
                 [&](relay::Relay::Tampered& tampered) { events_.on_tampered(tampered); },
                 [&](relay::Relay::Progress& progress) {
                   events_.on_progress(progress.stream, progress.track);
                 },
             },
             action);
}

void RelayDriver::arm_timer() {
  if (stopping_) return;
  const auto next = relay_.next_timeout();
  // An early wake-up costs less than re-arming at every chunk: only an earlier instant re-arms.
  if (!next || (armed_ && *armed_ <= *next)) return;
  armed_ = next;
  timer_.expires_at(async::Clock::to_steady(*next));
  timer_.async_wait([this](error_code ec) {
    if (!ec) on_timer();
  });
}

void RelayDriver::on_timer() {
  armed_.reset();
  input([](relay::Relay& relay, relay::Now at) { relay.on_timeout(at); });
}

void RelayDriver::on_ping_time() {
  if (stopping_) return;  // it was due already when shutdown() cancelled it
  ++ping_nonce_;
  for (auto& [peer, link] : links_) {
    if (link->is_up()) link->send(relay::Ping{ping_nonce_});
  }
  ping_timer_.expires_after(options_.ping_interval);
  ping_timer_.async_wait([this](error_code ec) {
    if (!ec) on_ping_time();
  });
}

void RelayDriver::arm_hello_timer() {
  if (hello_armed_ || stopping_) return;
  std::optional<TimePoint> first;
  const auto look = [&](const Link& link) {
    if (link.is_up() || link.is_closing()) return;
    if (!first || link.since() < *first) first = link.since();
  };
  for (const auto& [peer, link] : links_) look(*link);
  for (const auto& link : surplus_) look(*link);
  if (!first) return;
  hello_armed_ = true;
  hello_timer_.expires_at(async::Clock::to_steady(*first + options_.hello_timeout));
  hello_timer_.async_wait([this](error_code ec) {
    if (ec) return;
    hello_armed_ = false;
    close_silent_links();
    arm_hello_timer();
  });
}

void RelayDriver::close_silent_links() {
  const TimePoint at = async::Clock::now();
  const auto is_late = [&](const Link& link) {
    return !link.is_up() && !link.is_closing() && at - link.since() >= options_.hello_timeout;
  };
  for (auto& [peer, link] : links_) {
    if (is_late(*link)) link->close("no hello in time");
  }
  for (auto& link : surplus_) {
    if (is_late(*link)) link->close("surplus session");
  }
}

std::vector<transport::Endpoint> RelayDriver::addresses_of(const NodeId& peer) const {
  std::vector<transport::Endpoint> all;
  for (const auto& [stream, nodes] : addresses_) {
    const auto found = nodes.find(peer);
    if (found == nodes.end()) continue;
    for (const transport::Endpoint& endpoint : found->second) {
      if (all.size() == kAddressesMax) return all;
      if (std::find(all.begin(), all.end(), endpoint) == all.end()) all.push_back(endpoint);
    }
  }
  return all;
}

void RelayDriver::dial(const NodeId& peer) {
  if (stopping_ || dialing_.contains(peer)) return;
  if (const auto found = links_.find(peer); found != links_.end()) {
    // Its hello may still be under way; the relay hears of it then.
    return;
  }
  dialing_[peer] = true;
  if (!dials_.spawn(run_dial(peer, addresses_of(peer)))) {
    dialing_.erase(peer);
    input([&](relay::Relay& relay, relay::Now at) { relay.on_connect_failed(peer, at); });
  }
}

async::Task<Result<std::unique_ptr<transport::Session>>> RelayDriver::dial_address(
    transport::Transport& transport, transport::Endpoint endpoint, NodeId peer, Duration timeout) {
  auto dialed = co_await transport.connect(endpoint, peer, timeout);
  if (!dialed) {
    log::debug("dial failed", log::field("peer", [&] { return short_string(peer); }),
               log::field("endpoint", [&] { return transport::to_string(endpoint); }),
               log::field("error", dialed.error()));
  }
  co_return dialed;
}

async::Task<void> RelayDriver::run_dial(NodeId peer, std::vector<transport::Endpoint> endpoints) {
  const TimePoint began = async::Clock::now();
  std::unique_ptr<transport::Session> session;
  if (!endpoints.empty()) {
    std::vector<transport::DialWay> ways;
    for (const transport::Endpoint& endpoint : endpoints) {
      ways.emplace_back([this, endpoint, peer](Duration left) {
        return dial_address(transport_, endpoint, peer, std::min(left, options_.dial_timeout));
      });
    }
    const auto later_ways = static_cast<Duration::rep>(ways.size() - 1);
    const Duration limit = options_.dial_timeout + later_ways * kAddressHeadStart;
    auto race = transport::run_dial_race(executor_, std::move(ways), kAddressHeadStart, limit);
    transport::DialOutcome outcome = co_await std::move(race);
    if (outcome.session) session = std::move(*outcome.session);
  }
  dialing_.erase(peer);
  if (stopping_) co_return;
  if (session) {
    adopt(std::move(session), async::Clock::now() - began);
    co_return;
  }
  if (endpoints.empty()) {
    log::warn("the assignment names a parent without an address",
              log::field("peer", [&] { return short_string(peer); }));
  }
  if (links_.contains(peer)) co_return;  // it dialed us meanwhile
  input([&](relay::Relay& relay, relay::Now at) { relay.on_connect_failed(peer, at); });
}

void RelayDriver::adopt(std::unique_ptr<transport::Session> session, Duration dial_time) {
  const NodeId peer = session->peer();
  if (stopping_ || !network_) {
    ++ended_.sessions_refused;
    return;  // destroyed here: closes at once
  }
  auto link = std::make_unique<Link>(*this, std::move(session), dial_time);
  if (const auto found = links_.find(peer); found != links_.end()) {
    Link& old = *found->second;
    // When both ends dial at the same time each sees two sessions: both must keep the same one, the
    // one that the lower id dialed. From the same dialer the newer one is the living one. One that
    // we closed already competes with none: the peer saw its end, and came back.
    const bool same_dialer = old.session().side() == link->session().side();
    const bool we_dialed = link->session().side() == transport::Side::dialer;
    const bool peer_is_lower = peer < options_.self;
    const bool keep_new =
        old.is_closing() || same_dialer || (we_dialed ? !peer_is_lower : peer_is_lower);
    if (!keep_new) {
      // Not closed here: the peer closes it when it takes the other one. Until then an end would
      // look to it as if its dial had failed.
      ++ended_.sessions_refused;
      retire(std::move(link));
      surplus_.back()->start();
      arm_hello_timer();
      return;
    }
    // The relay goes on believing that the peer is up: the new session says hello, or ends, and
    // then it is told. A loss reported here would make the orchestrator avoid a living parent.
    link->set_known_up(old.is_known_up());
    old.set_up(false);
    old.set_known_up(false);
    retire(std::move(found->second));
    links_.erase(found);
    surplus_.back()->close("replaced by another session");
  }
  Link& added = *link;
  links_.insert_or_assign(peer, std::move(link));
  ++ended_.sessions_opened;
  added.start();
  relay::Hello hello;
  hello.software = options_.software;
  hello.network = *network_;
  added.send(hello);
  arm_hello_timer();
}

void RelayDriver::retire(std::unique_ptr<Link> link) {
  if (surplus_.size() >= kSurplusMax) {
    count_ended(*surplus_.front());
    surplus_.erase(surplus_.begin());
  }
  surplus_.push_back(std::move(link));
}

void RelayDriver::on_link_hello(Link& link, const relay::Hello& hello) {
  if (link.is_up()) return link.close("second hello");
  if (hello.network != network_) return link.close("another network");
  const NodeId peer = link.session().peer();
  const auto found = links_.find(peer);
  if (found == links_.end() || found->second.get() != &link) return;  // replaced meanwhile
  link.set_up(true);
  link.set_known_up(true);
  log::debug("peer session up", log::field("peer", [&] { return short_string(peer); }),
             log::field("software", hello.software));
  input([&](relay::Relay& relay, relay::Now at) { relay.on_peer_up(peer, at); });
}

void RelayDriver::on_link_closed(Link& link, const transport::CloseInfo& info) {
  const NodeId peer = link.session().peer();
  const bool known_up = link.is_known_up();
  log::debug("peer session ended", log::field("peer", [&] { return short_string(peer); }),
             log::field("reason", transport::to_string(info.reason)),
             log::field("detail", info.detail));
  count_ended(link);
  forget(link);
  input([&](relay::Relay& relay, relay::Now at) {
    if (known_up) {
      relay.on_peer_down(peer, to_loss(info.reason), at);
    } else if (!links_.contains(peer) && !dialing_.contains(peer)) {  // else: that one tells
      relay.on_connect_failed(peer, at);
    }
  });
}

void RelayDriver::count_ended(const Link& link) {
  const transport::SessionStats stats = link.session().stats();
  ended_.bytes_in += stats.bytes_in;
  ended_.bytes_out += stats.bytes_out;
}

void RelayDriver::forget(Link& link) {
  const auto found = links_.find(link.session().peer());
  if (found != links_.end() && found->second.get() == &link) {
    links_.erase(found);
    return;
  }
  std::erase_if(surplus_, [&](const auto& entry) { return entry.get() == &link; });
}

async::Task<void> RelayDriver::shutdown(Duration grace) {
  draining_ = true;
  const TimePoint grace_end = async::Clock::now() + grace;
  input([&](relay::Relay& relay, relay::Now at) {
    relay.on_shutdown(relay::GoAwayReason::shutdown, grace, at);
  });
  transport_.stop();
  while (!relay_.children(async::Clock::now()).empty()) {
    const async::WaitResult waited = co_await settled_.wait(grace_end);
    if (waited != async::WaitResult::signalled) break;
  }
  stopping_ = true;
  ping_timer_.cancel();
  hello_timer_.cancel();
  for (auto& [peer, link] : links_) link->close("shutting down");
  const TimePoint close_end = async::Clock::now() + kCloseTimeout;
  while (!links_.empty() || !surplus_.empty()) {
    const async::WaitResult waited = co_await settled_.wait(close_end);
    if (waited != async::WaitResult::signalled) break;
  }
  timer_.cancel();
  for (const auto& [peer, link] : links_) count_ended(*link);
  for (const auto& link : surplus_) count_ended(*link);
  links_.clear();
  surplus_.clear();
  dials_.cancel();
  co_await dials_.join();
}

std::vector<PeerView> RelayDriver::peers() const {
  std::vector<PeerView> views;
  for (const auto& [peer, link] : links_) {
    if (!link->is_up()) continue;
    const transport::Session& session = link->session();
    views.push_back({peer, session.side() == transport::Side::dialer, session.kind(),
                     session.remote_endpoint(), link->since(), link->dial_time(), session.stats()});
  }
  return views;
}

PeerTraffic RelayDriver::traffic() const {
  PeerTraffic traffic = ended_;
  const auto add = [&](const Link& link) {
    const transport::SessionStats stats = link.session().stats();
    traffic.bytes_in += stats.bytes_in;
    traffic.bytes_out += stats.bytes_out;
  };
  for (const auto& [peer, link] : links_) add(*link);
  for (const auto& link : surplus_) add(*link);
  return traffic;
}

}  // namespace tayga::peers
