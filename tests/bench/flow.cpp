#include "tests/bench/flow.hpp"

#include "common/async/task_group.hpp"
#include "common/base/check.hpp"
#include "tests/bench/commands.hpp"
#include "tests/bench/live_run.hpp"

#include <boost/asio/system_timer.hpp>

#include <functional>
#include <memory>
#include <stdexcept>
#include <utility>

namespace tayga::bench {
namespace {

constexpr Duration kStartUp = 500ms;
/// With its header a frame is 64 KiB: whole TLS records, as many bytes as a yardstick writes at
/// once.
constexpr std::size_t kPayload = wire::kPayloadSizeMax - wire::kFrameHeaderSize;

/// One end of the flow: gives or takes whole frames without end.
class End final : public transport::SessionHandler {
 public:
  explicit End(Channel& channel) : commands_{io, channel}, timer_{io} {
    commands_.on("measure", [this](const boost::json::object& window, const auto& reply) {
      at_wall(window.at("begin_us").as_int64(), [this, window, reply] {
        const std::uint64_t bytes = taken_;
        const double cpu = process_cpu_seconds();
        const std::int64_t began = wall_us();
        at_wall(window.at("end_us").as_int64(), [this, bytes, cpu, began, reply] {
          reply({{"bytes", taken_ - bytes},
                 {"cpu_s", process_cpu_seconds() - cpu},
                 {"seconds", static_cast<double>(wall_us() - began) / 1e6}});
        });
      });
    });
  }

  void adopt(std::unique_ptr<transport::Session> session) {
    session_ = std::move(session);
    session_->start(*this);
  }
  void give(SharedBytes frame) {
    frame_ = std::move(frame);
    session_->notify_media();
  }
  void run(const boost::json::object& ready) {
    commands_.run(ready);
    session_.reset();
  }

  void on_frame(wire::FrameType, ByteView payload) override { taken_ += payload.size(); }
  std::optional<transport::OutboundMedia> next_media() override {
    if (!frame_) return std::nullopt;
    return transport::OutboundMedia{{}, frame_};
  }
  void on_closed(const transport::CloseInfo& info) override {
    if (info.reason == transport::CloseInfo::Reason::remote) return;
    commands_.fail(std::string{to_string(info.reason)} + ": " + info.detail);
  }

  boost::asio::io_context io{1};

 private:
  void at_wall(std::int64_t at_us, std::function<void()> then) {
    timer_.expires_at(std::chrono::system_clock::time_point{Duration{at_us}});
    timer_.async_wait([then = std::move(then)](const error_code& ec) {
      if (!ec) then();
    });
  }

  Commands commands_;
  boost::asio::system_timer timer_;
  std::unique_ptr<transport::Session> session_;
  SharedBytes frame_;
  std::uint64_t taken_ = 0;
};

void run_receiver(Channel& channel, const TransportSetup& setup, const crypto::SigningKey& key) {
  End end{channel};
  const auto transport = make_transport(end.io.get_executor(), key, setup);
  const auto bound =
      transport->listen(*transport::parse_endpoint("127.0.0.1:0"),
                        [&](std::unique_ptr<transport::Session> s) { end.adopt(std::move(s)); });
  if (!bound) throw std::runtime_error{"cannot listen: " + bound.error().message()};
  end.run({{"port", bound->port}});
  transport->stop();
}

async::Task<void> run_dial(transport::Transport& transport, transport::Endpoint remote,
                           NodeId receiver, End& end) {
  auto session = co_await transport.connect(remote, receiver, 10s);
  if (!session) throw std::runtime_error{"dial: " + session.error().message()};
  end.adopt(std::move(*session));
  const Bytes payload(kPayload, std::byte{0x5a});
  end.give(std::make_shared<const Bytes>(serialize_frame(wire::FrameType::chunk, payload)));
}

void run_sender(Channel& channel, const TransportSetup& setup, const NodeId& receiver,
                std::uint16_t port) {
  End end{channel};
  const auto key = crypto::SigningKey::generate();
  const auto transport = make_transport(end.io.get_executor(), key, setup);
  async::TaskGroup tasks{end.io.get_executor(), "dial", 1};
  std::string failure;
  tasks.set_on_error([&](std::string_view, std::string_view what) {
    failure = what;
    end.io.stop();
  });
  const transport::Endpoint remote{boost::asio::ip::address_v4::loopback(), port};
  TAYGA_CHECK(tasks.spawn(run_dial(*transport, remote, receiver, end)));
  end.run({});
  if (!failure.empty()) throw std::runtime_error{failure};
  transport->stop();
}

}  // namespace

FlowFigures measure_flow(const TransportSetup& setup, double seconds) {
  const auto key = crypto::SigningKey::generate();
  Role receiver{"receiving", cpu_for(1),
                [&](Channel& channel) { run_receiver(channel, setup, key); }};
  const auto port = receiver.receive().at("port").to_number<std::uint16_t>();
  Role sender{"sending", cpu_for(0),
              [&](Channel& channel) { run_sender(channel, setup, key.node_id(), port); }};
  (void)sender.receive();
  sleep_until_wall(wall_us() + kStartUp.count());
  const auto length = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  const boost::json::object window = make_window(length);
  receiver.tell("measure", window);
  sender.tell("measure", window);
  const boost::json::object received = receiver.receive(length + 30s);
  const boost::json::object sent = sender.receive(length + 30s);
  const double gbit = number(received, "bytes") * 8 / 1e9;
  if (gbit == 0) throw std::runtime_error{"nothing arrived"};
  return {gbit / number(received, "seconds"), number(sent, "cpu_s") / gbit,
          number(received, "cpu_s") / gbit};
}

}  // namespace tayga::bench
