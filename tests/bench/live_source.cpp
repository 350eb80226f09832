#include "common/async/clock.hpp"
#include "common/base/check.hpp"
#include "common/media/slicer.hpp"
#include "daemon/control/peer_codec.hpp"
#include "tests/bench/commands.hpp"
#include "tests/bench/live.hpp"

#include <boost/asio/steady_timer.hpp>

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace tayga::bench {
namespace {

using async::Clock;
using transport::Session;

constexpr Duration kTick = 1ms;
constexpr Duration kBeat = 20ms;
constexpr Duration kSegment = 1s;
constexpr std::size_t kQueueMax = 4 * 1024 * 1024;  // the oldest goes, as at a relay

/// One who takes the stream from the source.
class Taker final : public transport::SessionHandler {
 public:
  Taker(const LivePlan& plan, std::unique_ptr<Session> session)
      : plan_{plan}, session_{std::move(session)} {
    session_->start(*this);
    relay::Hello hello;
    hello.software = "bench";
    hello.network = plan_.network.network();
    session_->send_control(control::encode_control_frame(hello));
  }

  void push(const SharedBytes& frame) {
    if (!subscribed_ || closed_) return;
    queue_.push_back(frame);
    queued_ += frame->size();
    for (; queued_ > kQueueMax; queue_.pop_front()) queued_ -= queue_.front()->size();
    session_->notify_media();
  }

  /// A parent beats: without it the relay would take its silence for death.
  void beat() {
    if (subscribed_ && !closed_) answer(relay::Head{});
  }

  void on_frame(wire::FrameType type, ByteView payload) override {
    if (type != wire::FrameType::control) return;
    const auto message = control::decode_control(payload);
    if (!message) return;
    if (const auto* subscribe = std::get_if<relay::Subscribe>(&*message)) {
      subscribed_ = true;
      answer(relay::SubscribeOk{subscribe->stream, subscribe->track, subscribe->stripes});
    } else if (const auto* ping = std::get_if<relay::Ping>(&*message)) {
      answer(relay::Pong{ping->nonce});
    }
  }
  std::optional<transport::OutboundMedia> next_media() override {
    if (queue_.empty()) return std::nullopt;
    transport::OutboundMedia next{{wire::to_stream_tag(plan_.network.stream()), test::kTestTrack},
                                  std::move(queue_.front())};
    queue_.pop_front();
    queued_ -= next.frame->size();
    return next;
  }
  void on_closed(const transport::CloseInfo&) override { closed_ = true; }

 private:
  void answer(const relay::PeerMessage& message) {
    session_->send_control(control::encode_control_frame(message));
  }

  const LivePlan& plan_;
  std::unique_ptr<Session> session_;
  std::deque<SharedBytes> queue_;
  std::size_t queued_ = 0;
  bool subscribed_ = false;
  bool closed_ = false;
};

class Source {
 public:
  Source(const LivePlan& plan, Channel& channel)
      : plan_{plan},
        commands_{io_, channel},
        transport_{make_transport(io_.get_executor(), plan.source, plan.transport)},
        slicer_{plan.network.stream_key(), test::kTestTrack,
                PublisherEpoch{static_cast<std::uint32_t>(wall_us() / 1'000'000)}},
        piece_(plan.object_size != 0
                   ? plan.object_size
                   : static_cast<std::size_t>(plan.rate_bps / 8 / 1000),  // of a tick
               std::byte{0x47}),
        timer_{io_},
        beat_timer_{io_} {}

  void run() {
    const auto bound = transport_->listen(
        *transport::parse_endpoint("127.0.0.1:0"), [this](std::unique_ptr<Session> session) {
          takers_.push_back(std::make_unique<Taker>(plan_, std::move(session)));
        });
    if (!bound) throw std::runtime_error{"cannot listen: " + bound.error().message()};
    commands_.on("publish", [this](const boost::json::object&, const Commands::Reply& reply) {
      next_ = Clock::now();
      tick();
      reply({});
    });
    commands_.on("measure", [this](const boost::json::object& window, const auto& reply) {
      begin_ = WallTime{Duration{window.at("begin_us").as_int64()}};
      end_ = WallTime{Duration{window.at("end_us").as_int64()}};
      chunks_.clear();
      reply({});
    });
    commands_.on("sent", [this](const boost::json::object&, const Commands::Reply& reply) {
      reply(sent());
    });
    beat();
    commands_.run({{"port", bound->port}});
    takers_.clear();
    transport_->stop();
  }

 private:
  void beat() {
    for (const auto& taker : takers_) taker->beat();
    beat_timer_.expires_after(kBeat);
    beat_timer_.async_wait([this](const error_code& ec) {
      if (!ec) beat();
    });
  }

  void tick() {
    const WallTime wall = Clock::wall_now();
    if (plan_.object_size != 0) {
      publish_object(wall);
    } else {
      publish_piece(wall);
    }
    send_slices();
    next_ += plan_.object_size != 0 ? plan_.object_interval : kTick;
    timer_.expires_at(Clock::to_steady(next_));
    timer_.async_wait([this](const error_code& ec) {
      if (!ec) tick();
    });
  }

  void publish_object(WallTime wall) {
    const ObjectId object = open();
    TAYGA_CHECK(slicer_.append(object, piece_, next_, wall).has_value());
    slicer_.finish(object, next_, wall);
  }

  void publish_piece(WallTime wall) {
    if (!object_ || next_ - object_since_ >= kSegment) {
      if (object_) slicer_.finish(*object_, next_, wall);
      object_ = open();
      object_since_ = next_;
    }
    TAYGA_CHECK(slicer_.append(*object_, piece_, next_, wall).has_value());
    slicer_.on_timeout(next_, wall);
  }

  ObjectId open() {
    media::Slicer::ObjectInfo info;
    info.path = "segment.ts";
    return slicer_.open(std::move(info), next_);
  }

  void send_slices() {
    while (const auto slice = slicer_.poll_slice()) {
      const WallTime at = slice->header.publisher_time;
      if (at >= begin_ && at < end_) {
        chunks_[slice->header.object.value()] += slice->chunk_frames.size();
      }
      for (const auto& taker : takers_) {
        taker->push(slice->header_frame);
        for (const SharedBytes& frame : slice->chunk_frames) taker->push(frame);
      }
    }
  }

  [[nodiscard]] boost::json::object sent() const {
    boost::json::object objects;
    std::uint64_t total = 0;
    for (const auto& [object, chunks] : chunks_) {
      objects[std::to_string(object)] = chunks;
      total += chunks;
    }
    return {{"chunks", total}, {"objects", std::move(objects)}};
  }

  const LivePlan& plan_;
  boost::asio::io_context io_{1};
  Commands commands_;
  std::unique_ptr<transport::Transport> transport_;
  std::vector<std::unique_ptr<Taker>> takers_;
  media::Slicer slicer_;
  const Bytes piece_;
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer beat_timer_;
  TimePoint next_{};
  std::optional<ObjectId> object_;
  TimePoint object_since_{};
  WallTime begin_{};
  WallTime end_{};
  std::map<std::uint64_t, std::uint64_t> chunks_;  // by object, of the time measured
};

}  // namespace

std::unique_ptr<Role> start_source(const LivePlan& plan, unsigned cpu) {
  return std::make_unique<Role>("source", cpu, [&plan](Channel& channel) {
    Source{plan, channel}.run();
  });
}

}  // namespace tayga::bench
