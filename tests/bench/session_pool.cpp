#include "tests/bench/session_pool.hpp"

#include "common/async/clock.hpp"
#include "common/async/task_group.hpp"
#include "common/base/check.hpp"
#include "tests/bench/commands.hpp"

#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tayga::bench {
namespace {

using transport::Session;

constexpr std::size_t kDialsAtOnce = 16;  // one prefix may have 32 half-open
constexpr std::size_t kFeedFrame = 4096;
constexpr Duration kFeedLimit = 30s;

/// A session that is kept, and fed with media where it is told to.
class Kept final : public transport::SessionHandler {
 public:
  explicit Kept(std::unique_ptr<Session> session) : session_{std::move(session)} {
    session_->start(*this);
  }
  void feed(const SharedBytes& frame, std::size_t frames) {
    frame_ = frame;
    left_ = frames;
    session_->notify_media();
  }
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  [[nodiscard]] bool fed() const { return left_ == 0 && session_->stats().queued_bytes == 0; }

  void on_frame(wire::FrameType, ByteView) override {}
  std::optional<transport::OutboundMedia> next_media() override {
    if (left_ == 0) return std::nullopt;
    --left_;
    return transport::OutboundMedia{{}, frame_};
  }
  void on_closed(const transport::CloseInfo&) override {
    left_ = 0;
    ended_ = true;
  }

 private:
  std::unique_ptr<Session> session_;
  SharedBytes frame_;
  std::size_t left_ = 0;
  bool ended_ = false;
};

class Acceptor {
 public:
  Acceptor(Channel& channel, const TransportSetup& setup, const crypto::SigningKey& key)
      : commands_{io_, channel},
        transport_{make_transport(io_.get_executor(), key, setup)},
        tasks_{io_.get_executor(), "feed", 1} {
    tasks_.set_on_error(
        [this](std::string_view, std::string_view what) { commands_.fail(std::string{what}); });
  }

  void run() {
    const auto bound = transport_->listen(
        *transport::parse_endpoint("127.0.0.1:0"), [this](std::unique_ptr<Session> session) {
          sessions_.push_back(std::make_unique<Kept>(std::move(session)));
        });
    if (!bound) throw std::runtime_error{"cannot listen: " + bound.error().message()};
    commands_.on("usage", [this](const boost::json::object&, const Commands::Reply& reply) {
      const auto ended = std::ranges::count_if(sessions_, [](const auto& s) { return s->ended(); });
      reply({{"sessions", sessions_.size()},
             {"ended", ended},
             {"cpu_s", process_cpu_seconds()},
             {"rss_bytes", resident_bytes()}});
    });
    commands_.on("feed", [this](const boost::json::object& args, const Commands::Reply& reply) {
      TAYGA_CHECK(tasks_.spawn(feed(args.at("bytes").to_number<std::size_t>(), reply)));
    });
    commands_.run({{"port", bound->port}});
    sessions_.clear();
    transport_->stop();
  }

 private:
  async::Task<void> feed(std::size_t bytes, Commands::Reply reply) {
    const Bytes payload(kFeedFrame, std::byte{0x5a});
    const auto frame =
        std::make_shared<const Bytes>(wire::serialize_frame(wire::FrameType::chunk, payload));
    boost::asio::steady_timer timer{io_};
    const TimePoint deadline = async::Clock::now() + kFeedLimit;
    // More may be accepted while this waits: they are not fed.
    const std::size_t count = sessions_.size();
    for (std::size_t i = 0; i < count; ++i) sessions_[i]->feed(frame, bytes / kFeedFrame);
    for (std::size_t i = 0; i < count; ++i) {
      while (!sessions_[i]->fed()) {
        if (async::Clock::now() > deadline) throw std::runtime_error{"a session took no media"};
        timer.expires_after(5ms);
        (void)co_await timer.async_wait(async::as_values);
      }
    }
    reply({});
  }

  boost::asio::io_context io_{1};
  Commands commands_;
  std::unique_ptr<transport::Transport> transport_;
  std::vector<std::unique_ptr<Kept>> sessions_;
  async::TaskGroup tasks_;
};

class Dialer {
 public:
  Dialer(Channel& channel, const TransportSetup& setup, const NodeId& acceptor)
      : commands_{io_, channel},
        setup_{setup},
        acceptor_{acceptor},
        tasks_{io_.get_executor(), "dials", kDialsAtOnce} {
    tasks_.set_on_error(
        [this](std::string_view, std::string_view what) { commands_.fail(std::string{what}); });
  }

  void run() {
    commands_.on("make", [this](const boost::json::object& args, const Commands::Reply& reply) {
      fresh_.clear();
      for (std::size_t i = 0; i < args.at("transports").to_number<std::size_t>(); ++i) {
        const auto key = crypto::SigningKey::generate();
        transports_.push_back(make_transport(io_.get_executor(), key, setup_));
        fresh_.push_back(transports_.back().get());
      }
      reply({});
    });
    commands_.on("dial", [this](const boost::json::object& args, const Commands::Reply& reply) {
      dial(args, reply);
    });
    commands_.run({});
    sessions_.clear();
    for (const auto& transport : transports_) transport->stop();
  }

 private:
  void dial(const boost::json::object& args, const Commands::Reply& reply) {
    const transport::Endpoint remote{boost::asio::ip::address_v4::loopback(),
                                     args.at("port").to_number<std::uint16_t>()};
    const auto each = args.at("sessions").to_number<std::size_t>();
    next_ = 0;
    wanted_ = each * fresh_.size();
    dialed_ = 0;
    cpu_before_ = process_cpu_seconds();
    for (std::size_t i = 0; i < kDialsAtOnce; ++i) {
      TAYGA_CHECK(tasks_.spawn(dial_some(remote, reply)));
    }
  }

  async::Task<void> dial_some(transport::Endpoint remote, Commands::Reply reply) {
    while (next_ < wanted_) {
      transport::Transport& from = *fresh_[next_++ % fresh_.size()];
      auto session = co_await from.connect(remote, acceptor_, 10s);
      if (!session) throw std::runtime_error{"dial: " + session.error().message()};
      sessions_.push_back(std::make_unique<Kept>(std::move(*session)));
      if (++dialed_ == wanted_) reply({{"cpu_s", process_cpu_seconds() - cpu_before_}});
    }
  }

  boost::asio::io_context io_{1};
  Commands commands_;
  const TransportSetup setup_;
  const NodeId acceptor_;
  std::vector<std::unique_ptr<transport::Transport>> transports_;
  std::vector<transport::Transport*> fresh_;  // those of the last make
  std::vector<std::unique_ptr<Kept>> sessions_;
  std::size_t next_ = 0;
  std::size_t wanted_ = 0;
  std::size_t dialed_ = 0;
  double cpu_before_ = 0;
  async::TaskGroup tasks_;
};

}  // namespace

std::unique_ptr<Role> start_acceptor(const TransportSetup& setup, const crypto::SigningKey& key,
                                     unsigned cpu) {
  return std::make_unique<Role>("accepting", cpu, [&](Channel& channel) {
    Acceptor{channel, setup, key}.run();
  });
}

std::unique_ptr<Role> start_dialer(const TransportSetup& setup, const NodeId& acceptor,
                                   unsigned cpu) {
  return std::make_unique<Role>("dialing", cpu, [&](Channel& channel) {
    Dialer{channel, setup, acceptor}.run();
  });
}

}  // namespace tayga::bench
