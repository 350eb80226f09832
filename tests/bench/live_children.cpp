#include "common/async/clock.hpp"
#include "common/async/task_group.hpp"
#include "common/base/check.hpp"
#include "common/media/slice.hpp"
#include "daemon/control/peer_codec.hpp"
#include "tests/bench/commands.hpp"
#include "tests/bench/histogram.hpp"
#include "tests/bench/live.hpp"

#include <boost/asio/steady_timer.hpp>

#include <optional>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>

namespace tayga::bench {
namespace {

using async::Clock;
using async::Task;
using transport::Session;

constexpr Duration kLate = 500ms;
constexpr Duration kSubscribeLimit = 20s;
constexpr Duration kStep = 10us;
constexpr std::size_t kSteps = 500'000;    // 5 s
constexpr std::int64_t kPartOfWindow = 5;  // a drift shows between its first and last fifth

/// What all children of the process know of the stream and saw of it.
class Observations {
 public:
  struct Slice {
    WallTime published;
    std::uint64_t object = 0;
    bool known = false;
  };

  void measure(WallTime begin, WallTime end) {
    begin_ = begin;
    end_ = end;
  }
  void on_header(ByteView payload) {
    const auto header = media::parse_slice_header(payload);
    TAYGA_CHECK(header);
    const auto seq = static_cast<std::size_t>(header->seq.value());
    if (seq >= slices_.size()) slices_.resize(seq + 1);
    slices_[seq] = {header->publisher_time, header->object.value(), true};
  }
  /// nullptr: not of the time measured.
  [[nodiscard]] const Slice* find(SliceSeq seq) const {
    const auto place = static_cast<std::size_t>(seq.value());
    TAYGA_CHECK(place < slices_.size() && slices_[place].known);  // its header came first
    const Slice& slice = slices_[place];
    return slice.published >= begin_ && slice.published < end_ ? &slice : nullptr;
  }
  void add_latency(WallTime published, Duration latency) {
    all.add(latency);
    const Duration part = (end_ - begin_) / kPartOfWindow;
    if (published < begin_ + part) first.add(latency);
    if (published >= end_ - part) last.add(latency);
  }
  /// Both sides of a hop; whichever comes first waits for the other.
  void compare(std::uint64_t chunk, Purpose side, TimePoint arrived) {
    const auto [waiting, is_first] = waiting_.try_emplace(chunk, side, arrived);
    if (is_first || waiting->second.first == side) return;
    const Duration later = arrived - waiting->second.second;
    hops.add(side == Purpose::relayed ? later : Duration{0});  // the direct one came second
    waiting_.erase(waiting);
  }

  Histogram all{kStep, kSteps};
  Histogram first{kStep, kSteps};
  Histogram last{kStep, kSteps};
  Histogram hops{1us, kSteps};

 private:
  std::vector<Slice> slices_;  // by sequence
  WallTime begin_{};
  WallTime end_{};
  std::unordered_map<std::uint64_t, std::pair<Purpose, TimePoint>> waiting_;
};

class Child final : public transport::SessionHandler {
 public:
  Child(const LivePlan& plan, Purpose purpose, Observations& seen)
      : plan_{plan}, purpose_{purpose}, seen_{seen} {}

  void start(std::unique_ptr<Session> session, const NodeId& parent, const NodeId& self) {
    session_ = std::move(session);
    session_->start(*this);
    relay::Hello hello;
    hello.software = "bench";
    hello.network = plan_.network.network();
    say(hello);
    relay::Subscribe subscribe;
    subscribe.stream = plan_.network.stream();
    subscribe.track = test::kTestTrack;
    subscribe.stripes = 1;
    subscribe.allocation = plan_.network.allocation(parent, self);
    say(subscribe);
  }
  [[nodiscard]] bool subscribed() const noexcept { return subscribed_; }
  [[nodiscard]] const std::string& failure() const noexcept { return failure_; }
  [[nodiscard]] Purpose purpose() const noexcept { return purpose_; }
  [[nodiscard]] std::uint64_t chunks() const noexcept { return chunks_; }
  void forget_counts() {
    chunks_ = 0;
    objects_.clear();
  }
  /// Objects of which a chunk came late or never.
  [[nodiscard]] std::uint64_t late_objects(const boost::json::object& published) const {
    std::uint64_t late = 0;
    for (const auto& [id, chunks] : published) {
      const auto found = objects_.find(std::stoull(id));
      late += found == objects_.end() || found->second != chunks.to_number<std::uint64_t>();
    }
    return late;
  }

  void on_frame(wire::FrameType type, ByteView payload) override {
    switch (type) {
      case wire::FrameType::control:
        return on_control(payload);
      case wire::FrameType::slice_header:
        return seen_.on_header(payload);
      case wire::FrameType::chunk:
        return on_chunk(payload);
    }
  }
  std::optional<transport::OutboundMedia> next_media() override { return std::nullopt; }
  void on_closed(const transport::CloseInfo& info) override {
    failure_ = std::string{"a child lost its session: "} + transport::to_string(info.reason) + " " +
               info.detail;
  }

 private:
  void say(const relay::PeerMessage& message) {
    session_->send_control(control::encode_control_frame(message));
  }
  void on_control(ByteView payload) {
    const auto message = control::decode_control(payload);
    if (!message) return;
    if (std::holds_alternative<relay::SubscribeOk>(*message)) {
      subscribed_ = true;
    } else if (std::holds_alternative<relay::SubscribeRefused>(*message)) {
      failure_ = "a child was refused";
    } else if (const auto* ping = std::get_if<relay::Ping>(&*message)) {
      say(relay::Pong{ping->nonce});
    }
  }
  void on_chunk(ByteView payload) {
    const auto chunk = wire::parse_chunk(payload);
    TAYGA_CHECK(chunk);
    const Observations::Slice* slice = seen_.find(chunk->slice_seq);
    if (slice == nullptr) return;
    ++chunks_;
    if (purpose_ == Purpose::relayed || purpose_ == Purpose::direct) {
      const std::uint64_t place = chunk->slice_seq.value() << 16 | chunk->index;
      seen_.compare(place, purpose_, Clock::now());
    }
    const Duration latency = Clock::wall_now() - slice->published;
    if (latency <= kLate) ++objects_[slice->object];
    if (purpose_ == Purpose::counted) seen_.add_latency(slice->published, latency);
  }

  const LivePlan& plan_;
  const Purpose purpose_;
  Observations& seen_;
  std::unique_ptr<Session> session_;
  bool subscribed_ = false;
  std::string failure_;
  std::uint64_t chunks_ = 0;
  std::unordered_map<std::uint64_t, std::uint64_t> objects_;  // chunks in time
};

class Children {
 public:
  Children(const LivePlan& plan, Channel& channel)
      : plan_{plan}, commands_{io_, channel}, tasks_{io_.get_executor(), "dials", 16} {
    tasks_.set_on_error(
        [this](std::string_view, std::string_view what) { commands_.fail(std::string{what}); });
  }

  void run() {
    commands_.on("dial", [this](const boost::json::object& args, const Commands::Reply& reply) {
      const bool to_source = args.contains("direct");
      TAYGA_CHECK(tasks_.spawn(dial_group(
          args.at("group").to_number<std::size_t>(),
          {boost::asio::ip::address_v4::loopback(), args.at("port").to_number<std::uint16_t>()},
          to_source ? plan_.source.node_id() : plan_.relay.node_id(), reply)));
    });
    commands_.on("measure", [this](const boost::json::object& window, const auto& reply) {
      seen_.measure(WallTime{Duration{window.at("begin_us").as_int64()}},
                    WallTime{Duration{window.at("end_us").as_int64()}});
      for (const auto& child : children_) child->forget_counts();
      cpu_before_ = process_cpu_seconds();
      reply({});
    });
    commands_.on("result", [this](const boost::json::object& args, const Commands::Reply& reply) {
      reply(result(args.at("objects").as_object()));
    });
    commands_.run({});
    children_.clear();
    for (const auto& transport : transports_) transport->stop();
  }

 private:
  /// One after the other, so that the relay gives aliases in the order of the children.
  Task<void> dial_group(std::size_t number, transport::Endpoint parent_at, NodeId parent,
                        Commands::Reply reply) {
    const ChildGroup& group = plan_.groups.at(number);
    TransportSetup setup = plan_.transport;
    setup.sessions_max = group.children + 1;
    transports_.push_back(make_transport(io_.get_executor(), group.key, setup));
    transport::Transport& transport = *transports_.back();
    std::vector<Child*> dialed;
    for (std::uint32_t i = 0; i < group.children; ++i) {
      auto session = co_await transport.connect(parent_at, parent, 10s);
      if (!session) throw std::runtime_error{"dial: " + session.error().message()};
      auto child = std::make_unique<Child>(plan_, group.purpose, seen_);
      child->start(std::move(*session), parent, alias_of(group.key.node_id(), i));
      dialed.push_back(child.get());
      children_.push_back(std::move(child));
    }
    co_await wait_subscribed(std::move(dialed));
    reply({});
  }

  Task<void> wait_subscribed(std::vector<Child*> dialed) {
    boost::asio::steady_timer timer{io_};
    const TimePoint deadline = Clock::now() + kSubscribeLimit;
    for (Child* child : dialed) {
      while (!child->subscribed()) {
        if (!child->failure().empty()) throw std::runtime_error{child->failure()};
        if (Clock::now() > deadline) throw std::runtime_error{"a child was never subscribed"};
        timer.expires_after(5ms);
        (void)co_await timer.async_wait(async::as_values);
      }
    }
  }

  boost::json::object result(const boost::json::object& published) const {
    std::uint64_t chunks = 0;
    std::uint64_t aside = 0;
    std::uint64_t late = 0;
    std::uint64_t counted = 0;
    std::string failure;
    for (const auto& child : children_) {
      if (!child->failure().empty()) failure = child->failure();
      if (child->purpose() != Purpose::counted) {
        aside += child->chunks();
        continue;
      }
      ++counted;
      chunks += child->chunks();
      late += child->late_objects(published);
    }
    boost::json::object result{{"counted", counted},
                               {"chunks", chunks},
                               {"aside_chunks", aside},
                               {"late_objects", late},
                               {"latency_ms", seen_.all.percentiles_ms()},
                               {"latency_first_ms", seen_.first.percentiles_ms()},
                               {"latency_last_ms", seen_.last.percentiles_ms()},
                               {"hop_ms", seen_.hops.percentiles_ms()},
                               {"hops", seen_.hops.total()},
                               {"cpu_s", process_cpu_seconds() - cpu_before_}};
    if (!failure.empty()) result["lost"] = failure;
    return result;
  }

  const LivePlan& plan_;
  boost::asio::io_context io_{1};
  Commands commands_;
  Observations seen_;
  std::vector<std::unique_ptr<transport::Transport>> transports_;
  std::vector<std::unique_ptr<Child>> children_;
  double cpu_before_ = 0;
  async::TaskGroup tasks_;
};

}  // namespace

std::unique_ptr<Role> start_children(const LivePlan& plan, unsigned cpu) {
  return std::make_unique<Role>("children", cpu, [&plan](Channel& channel) {
    Children{plan, channel}.run();
  });
}

}  // namespace tayga::bench
