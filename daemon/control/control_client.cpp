#include "daemon/control/control_client.hpp"

#include "common/async/clock.hpp"
#include "common/async/event.hpp"
#include "common/async/task_group.hpp"
#include "common/base/check.hpp"
#include "common/crypto/certificate.hpp"
#include "common/crypto/hash.hpp"
#include "common/log/log.hpp"
#include "common/transport/tls/chain_fetch.hpp"
#include "daemon/control/backoff.hpp"
#include "daemon/control/control_error.hpp"
#include "daemon/control/network_trust.hpp"
#include "daemon/control/outbox.hpp"
#include "daemon/control/session_call.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <array>
#include <type_traits>
#include <utility>
#include <variant>

namespace tayga::control {

namespace {

namespace asio = boost::asio;
using async::Clock;
using async::Task;

constexpr Duration kFarewellMax = 1s;
constexpr Duration kChainFetchMax = 10s;
constexpr Duration kStableSession =
    10s;  // one that lasted this long makes the next dial a quick one
constexpr Duration kBannedRetry = 10min;

double random_unit() {
  std::array<std::byte, 4> bytes{};
  crypto::random_bytes(bytes);
  std::uint32_t value = 0;
  for (const std::byte b : bytes) value = value << 8 | static_cast<std::uint32_t>(b);
  return static_cast<double>(value) / 4294967296.0;
}

std::string to_authority(const JoinUrl& url) {
  const bool is_v6 = url.host.find(':') != std::string::npos;
  return (is_v6 ? "[" + url.host + "]" : url.host) + ":" + std::to_string(url.port);
}

}  // namespace

class ControlClient::Impl final : public SessionCall::Handler,
                                  public std::enable_shared_from_this<Impl> {
 public:
  Impl(asio::any_io_executor executor, const crypto::SigningKey& identity, ControlOptions options,
       NodeProfile profile, ControlEvents& events)
      : executor_{executor},
        identity_{identity},
        options_{std::move(options)},
        profile_{std::move(profile)},
        events_{events},
        authority_{to_authority(options_.join)},
        certificate_pem_{crypto::make_self_signed_certificate(identity, "tayga-node")},
        key_pem_{crypto::to_pkcs8_pem(identity)},
        backoff_{options_.reconnect_first, options_.reconnect_last},
        wake_{executor},
        stop_{executor},
        tasks_{executor, "control client", 1} {}

  void start() {
    TAYGA_CHECK(!is_started_);
    is_started_ = true;
    TAYGA_CHECK(tasks_.spawn(run(shared_from_this())));
  }

  static Task<void> stop(std::shared_ptr<Impl> self) {
    self->is_stopping_ = true;
    self->stop_.set();
    self->wake_.set();
    co_await self->tasks_.join();
  }

  /// The client is gone: ends what runs, without a word to its owner. The coroutine keeps this
  /// object until it has run out, or until its executor is destroyed.
  void abandon() {
    is_stopping_ = is_abandoned_ = true;
    if (call_) call_->abandon();
    stop_.set();
    wake_.set();
  }

  void set_profile(NodeProfile profile) {
    if (profile == profile_) return;
    profile_ = std::move(profile);
    if (!call_) return;
    is_renewing_ = true;
    end_session("the node's profile changed");
  }

  /// Sends the next message unless one is on its way: gRPC takes one write at a time.
  void pump() {
    if (!is_connected_ || writing_since_ || is_farewell_sent_) return;
    if (is_stopping_) {
      is_farewell_sent_ = true;
      writing_since_ = Clock::now();
      const Goodbye goodbye{"stopping"};
      call_->write_last(goodbye);
      return;
    }
    const auto message = outbox_.poll(Clock::wall_now());
    if (!message) return;
    writing_since_ = Clock::now();
    call_->write(*message);
  }

  // ---- SessionCall::Handler ----

  void on_incoming(Result<Incoming> message) override {
    if (is_abandoned_ || !end_reason_.empty()) return;  // given up already: what it says is late
    if (!message) {
      static log::SiteLimit limit{5, 60s};
      const bool is_newer = message.error() == ControlErrc::unknown_message;
      log::at(limit, is_newer ? log::Level::debug : log::Level::warn,
              "ignored a message of the orchestrator", log::field("error", message.error()));
      return;
    }
    if (!is_connected_ && !std::holds_alternative<WelcomeMessage>(*message)) {
      return end_session("the orchestrator spoke before its welcome");
    }
    std::visit([this](const auto& body) { handle(body); }, *message);
  }

  void on_written() override {
    writing_since_.reset();
    pump();
    wake_.set();
  }

  void on_ended(std::string reason) override {
    if (end_reason_.empty()) end_reason_ = std::move(reason);
    is_ended_ = true;
    wake_.set();
  }

  Outbox& outbox() { return outbox_; }
  bool is_connected() const { return is_connected_; }
  const std::string& last_error() const { return last_error_; }
  std::optional<Duration> clock_offset() const { return clock_offset_; }
  std::uint64_t session_count() const { return session_count_; }

 private:
  // ---- what the orchestrator says ----

  void handle(const WelcomeMessage& in) {
    const WallTime now = Clock::wall_now();
    if (in.network != trust_->network) {
      return end_session("the orchestrator serves another network than the join URL names");
    }
    auto keys = verify_online_keys(in.online_keys, *trust_, now);
    if (const auto* error = std::get_if<TrustError>(&keys)) return end_session(error->message);
    Welcome welcome;
    welcome.network = in.network;
    welcome.incarnation = in.incarnation;
    welcome.telemetry_interval = in.telemetry_interval;
    welcome.receipt_submit_interval = in.receipt_submit_interval;
    welcome.online_keys = std::move(std::get<std::vector<media::OnlineKey>>(keys));
    welcome.observed_address = in.observed_address;
    welcome.clock_offset = in.time - now;
    clock_offset_ = welcome.clock_offset;
    if (!is_connected_) {
      is_connected_ = true;
      connected_at_ = Clock::now();
      session_count_ += 1;
      outbox_.on_session_up();
      log::info("control session up", log::field("orchestrator", authority_),
                log::field("incarnation", in.incarnation));
    }
    events_.on_connected(welcome);
    pump();
  }
  void handle(const AssignmentMessage& in) { events_.on_assignment(in.assignment, in.peers); }
  void handle(const PublishOffer& in) { events_.on_publish_offer(in); }
  void handle(const PublishWithdrawn& in) {
    outbox_.unpublish(in.stream_name);
    events_.on_publish_withdrawn(in.stream_name);
  }
  void handle(const ReceiptAnswers& in) { events_.on_receipt_answer(in.batch, in.items); }
  void handle(const JoinRefused& in) {
    events_.on_join_refused(in.stream_name, in.reason, in.message);
  }
  void handle(const Drain& in) { events_.on_drain(in.grace); }
  void handle(const Ban& in) {
    is_banned_ = true;
    events_.on_ban(in.reason);
    end_session("this node is banned: " + in.reason);
  }

  // ---- sessions ----

  static Task<void> run(std::shared_ptr<Impl> self) {
    while (!self->is_stopping_) {
      if (!self->trust_) co_await self->run_bootstrap();
      if (self->is_stopping_) break;
      if (self->trust_) co_await self->run_session();
      if (self->is_stopping_) break;
      const Duration delay = self->next_delay();
      if (delay > Duration{0}) co_await self->stop_.wait(Clock::now() + delay);
    }
  }

  Duration next_delay() {
    if (std::exchange(is_renewing_, false)) return Duration{0};
    if (std::exchange(is_banned_, false)) return kBannedRetry;
    return backoff_.next(random_unit());
  }

  /// Loads the network CA, or fetches and keeps it on first contact.
  Task<void> run_bootstrap() {
    using asio::experimental::awaitable_operators::operator||;
    auto loaded = load_network_trust(options_.state_dir, options_.join.fingerprint);
    if (auto* trust = std::get_if<NetworkTrust>(&loaded)) {
      trust_ = std::move(*trust);
      co_return;
    }
    if (const auto* error = std::get_if<TrustError>(&loaded)) {
      fail(error->message);
      co_return;
    }
    auto fetch = transport::tls::fetch_certificate_chain(options_.join.host, options_.join.port,
                                                         identity_, kChainFetchMax);
    auto stopped = stop_.wait();
    const auto first = co_await (std::move(fetch) || std::move(stopped));
    if (is_stopping_ || first.index() == 1) co_return;
    const Result<std::vector<Bytes>>& chain = std::get<0>(first);
    if (!chain) {
      fail("cannot reach the orchestrator at " + authority_ + ": " + chain.error().message() +
           "; check the join URL's host and port, and the network");
      co_return;
    }
    auto adopted = adopt_network_ca(options_.state_dir, options_.join.fingerprint, *chain);
    if (const auto* error = std::get_if<TrustError>(&adopted)) {
      fail(error->message);
      co_return;
    }
    trust_ = std::move(std::get<NetworkTrust>(adopted));
    log::info("joined the network", log::field("orchestrator", authority_),
              log::field("ca", network_ca_path(options_.state_dir).native()));
  }

  Task<void> run_session() {
    begin_session();
    while (!is_ended_) {
      wake_.reset();
      const TimePoint deadline = check_deadlines(Clock::now());
      co_await wake_.wait(deadline);
    }
    finish_session();
  }

  void begin_session() {
    is_ended_ = is_farewell_sent_ = false;
    end_reason_.clear();
    began_at_ = Clock::now();
    Hello hello{profile_, {}};
    if (options_.held_streams) hello.held = options_.held_streams();
    SessionCall::Options call;
    call.target = authority_;
    call.ca_pem = trust_->ca_pem;
    call.certificate_pem = certificate_pem_;
    call.key_pem = key_pem_;
    call_ = SessionCall::start(executor_, call, weak_from_this());
    writing_since_ = began_at_;
    call_->write(hello);
  }

  /// Cancels what took too long; returns when to look again.
  TimePoint check_deadlines(TimePoint now) {
    if (is_stopping_ && !farewell_by_) {
      farewell_by_ = now + kFarewellMax;
      if (!is_connected_) end_session("stopping");
      pump();
    }
    TimePoint next = TimePoint::max();
    const auto give_up_at = [&](TimePoint limit, const char* reason) {
      if (now >= limit) {
        end_session(reason);
      } else {
        next = std::min(next, limit);
      }
    };
    if (is_ended_ || !end_reason_.empty()) return next;
    if (farewell_by_) give_up_at(*farewell_by_, "stopping");
    if (!is_connected_) {
      give_up_at(began_at_ + options_.welcome_max, "the orchestrator sent no welcome in time");
    } else if (writing_since_) {
      give_up_at(*writing_since_ + options_.write_stall_max,
                 "the orchestrator takes no messages any more");
    }
    return next;
  }

  /// The first reason counts; on_ended follows.
  void end_session(const std::string& reason) {
    if (end_reason_.empty()) end_reason_ = reason;
    if (call_) call_->cancel();
  }

  void finish_session() {
    call_.reset();
    writing_since_.reset();
    const bool was_connected = std::exchange(is_connected_, false);
    if (was_connected && Clock::now() - connected_at_ >= kStableSession) backoff_.reset();
    if (is_stopping_) {
      log::info("control session ended", log::field("orchestrator", authority_));
    } else if (is_renewing_) {
      log::info("control session is renewed", log::field("reason", end_reason_));
    } else if (was_connected) {
      fail("the session with the orchestrator at " + authority_ + " ended: " + end_reason_);
    } else {
      fail("no session with the orchestrator at " + authority_ + ": " + end_reason_);
    }
    if (!was_connected || is_abandoned_) return;
    outbox_.on_session_down();
    events_.on_disconnected(end_reason_);
  }

  void fail(std::string message) {
    static log::SiteLimit limit{3, 60s};
    last_error_ = std::move(message);
    log::at(limit, log::Level::warn, last_error_);
  }

  const asio::any_io_executor executor_;
  const crypto::SigningKey& identity_;
  const ControlOptions options_;
  NodeProfile profile_;
  ControlEvents& events_;
  const std::string authority_;
  const std::string certificate_pem_;
  const std::string key_pem_;

  std::optional<NetworkTrust> trust_;
  Outbox outbox_;
  Backoff backoff_;
  std::string last_error_;
  std::optional<Duration> clock_offset_;
  std::uint64_t session_count_ = 0;

  // The current session.
  std::shared_ptr<SessionCall> call_;
  TimePoint began_at_{};
  TimePoint connected_at_{};
  std::optional<TimePoint> writing_since_;
  std::optional<TimePoint> farewell_by_;
  std::string end_reason_;  // empty = it goes on
  bool is_connected_ = false;
  bool is_ended_ = false;
  bool is_farewell_sent_ = false;

  bool is_started_ = false;
  bool is_stopping_ = false;
  bool is_abandoned_ = false;
  bool is_renewing_ = false;
  bool is_banned_ = false;
  async::Event wake_;  // the session changed
  async::Event stop_;
  async::TaskGroup tasks_;
};

ControlClient::ControlClient(asio::any_io_executor executor, const crypto::SigningKey& identity,
                             ControlOptions options, NodeProfile profile, ControlEvents& events)
    : impl_{std::make_shared<Impl>(std::move(executor), identity, std::move(options),
                                   std::move(profile), events)} {}

ControlClient::~ControlClient() {
  impl_->abandon();
}

void ControlClient::start() {
  impl_->start();
}

Task<void> ControlClient::stop() {
  return Impl::stop(impl_);
}

void ControlClient::set_profile(NodeProfile profile) {
  impl_->set_profile(std::move(profile));
}

bool ControlClient::join(const std::string& stream_name, std::vector<TrackId> tracks) {
  const bool is_taken = impl_->outbox().join(stream_name, std::move(tracks));
  impl_->pump();
  return is_taken;
}

void ControlClient::leave(const std::string& stream_name) {
  impl_->outbox().leave(stream_name);
  impl_->pump();
}

bool ControlClient::publish(PublishAnnouncement announcement) {
  const bool is_taken = impl_->outbox().publish(std::move(announcement));
  impl_->pump();
  return is_taken;
}

void ControlClient::unpublish(const std::string& stream_name) {
  impl_->outbox().unpublish(stream_name);
}

void ControlClient::send_telemetry(TelemetrySnapshot snapshot) {
  if (!impl_->is_connected()) return;
  impl_->outbox().put_telemetry(std::move(snapshot));
  impl_->pump();
}

bool ControlClient::send_receipts(relay::ReceiptBook::Batch batch) {
  if (!impl_->is_connected()) return false;
  impl_->outbox().put_receipts(std::move(batch));
  impl_->pump();
  return true;
}

void ControlClient::report_link_failure(relay::Relay::ParentLost failure) {
  impl_->outbox().add_link_failure(std::move(failure));
  impl_->pump();
}

void ControlClient::report_evidence(relay::Relay::Tampered evidence) {
  impl_->outbox().add_evidence(std::move(evidence));
  impl_->pump();
}

bool ControlClient::connected() const {
  return impl_->is_connected();
}

const std::string& ControlClient::last_error() const {
  return impl_->last_error();
}

std::optional<Duration> ControlClient::clock_offset() const {
  return impl_->clock_offset();
}

std::uint64_t ControlClient::session_count() const {
  return impl_->session_count();
}

}  // namespace tayga::control
