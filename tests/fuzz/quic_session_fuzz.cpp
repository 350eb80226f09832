#include "common/base/check.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/support/quic_net.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <vector>

// Two endpoints do what a Session's owner may do, in any order, over a link that the input shapes;
// packets are lost, repeated, cut and changed as it says. Whatever happens: frames arrive whole,
// once and in their flow's order, nothing is heard after the end, queues stay within their limits,
// and at the end no connection is left behind.
namespace {

using namespace tayga;
using test::QuicNet;
using test::QuicRecorder;
using transport::quic::Connection;
using transport::quic::ConnectionTable;

constexpr std::size_t kOperationsMax = 120;
constexpr std::size_t kSessionsMax = 3;
constexpr std::uint32_t kFlows = 70;  // more than have a stream of their own
constexpr std::size_t kMediaQueueMax = 300;

/// One end of a session, and what it said.
struct End {
  std::shared_ptr<Connection> connection;
  std::unique_ptr<QuicRecorder> events = std::make_unique<QuicRecorder>();
  bool started = false;
  std::uint32_t next_control = 0;
  std::uint32_t next_media = 0;
};

struct Ends {
  End near;
  End far;
};

ConnectionTable::Options table_options() {
  ConnectionTable::Options options;
  options.sessions_max = kSessionsMax;
  options.retry_above = 2;
  options.connection.key_update_packets = 20;
  options.connection.stall_max = 5s;
  return options;
}

class Run {
 public:
  explicit Run(ByteView bytes) : in_{bytes}, net_{in_.byte()} {
    net_.filter = [this](const QuicNet::Packet& packet) { return pass(packet); };
  }

  void go() {
    for (std::size_t i = 0; i < kOperationsMax && !in_.empty(); ++i) {
      operate();
      adopt();
      check();
    }
    end();
  }

 private:
  void operate() {
    switch (in_.below(16)) {
      case 0:
        return dial();
      case 1:
        return net_.run_for(Duration{1ms} * in_.byte());
      case 2:
        return net_.run_for(Duration{100ms} * in_.byte());
      case 3:
        return shape();
      case 4:
        trouble_ = in_.byte();
        return;
      case 5:
        return with_end([](End& end) { end.connection->notify_media(); });
      case 6:
      case 7:
        return queue_media();
      case 8:
        return with_end([this](End& end) {
          for (std::size_t n = in_.below(8); n > 0; --n) {
            end.connection->send_control(test::numbered_control(end.next_control));
            if (!end.connection->is_finished()) ++end.next_control;
          }
        });
      case 9:
        return with_end([this](End& end) { start(end); });
      case 10:
        return with_end([](End& end) { end.connection->close("enough"); });
      case 11:
        return with_end([](End& end) { end.connection->abandon(); });
      case 12:
        return migrate();
      case 13:
        net_.translate(client_.address, QuicNet::make_address(100 + in_.byte() % 20U, 4000));
        return;
      case 14:
        (in_.byte() % 2 == 0 ? client_ : server_).kernel_full = in_.byte() % 2 == 0;
        return;
      case 15:
        return with_end([this](End& end) {
          const bool on = in_.byte() % 2 == 0;
          end.connection->set_reading(on ? transport::Reading::on : transport::Reading::off);
        });
    }
  }

  void dial() {
    if (sessions_.size() >= 2 * kSessionsMax) return;
    auto connection = client_.dial(server_);
    TAYGA_CHECK(connection != nullptr);
    sessions_.emplace_back();
    sessions_.back().near.connection = std::move(connection);
  }

  /// Only what is established is a session, and has an owner.
  void with_end(const std::function<void(End&)>& act) {
    if (sessions_.empty()) return;
    Ends& ends = sessions_[in_.below(sessions_.size())];
    End& end = in_.byte() % 2 == 0 ? ends.near : ends.far;
    if (end.connection && end.connection->is_established()) act(end);
  }

  void start(End& end) {
    if (end.started) return;
    end.started = true;
    end.connection->start(*end.events);
  }

  void queue_media() {
    with_end([this](End& end) {
      for (std::size_t n = in_.below(16); n > 0; --n) {
        if (end.events->media.size() >= kMediaQueueMax) break;
        const std::size_t size = 4 + in_.byte() * std::size_t{251};
        const std::uint32_t number = end.next_media++;
        end.events->media.push_back(
            test::numbered_media(number, std::min(size, wire::kPayloadSizeMax), number % kFlows));
      }
      end.connection->notify_media();
    });
  }

  void migrate() {
    const auto local = QuicNet::make_address(200 + in_.byte() % 20U, 4000);
    net_.attach(client_, local);
    (void)client_.table->migrate_dialed(local, net_.now());
  }

  void shape() {
    test::LinkShape shape;
    shape.delay = Duration{1ms} * (1 + in_.byte() / 2);
    shape.jitter = Duration{1ms} * (in_.byte() / 8);
    shape.loss = in_.byte() / 1000.0;
    shape.reorder = in_.byte() / 1000.0;
    shape.duplicate = in_.byte() / 1000.0;
    shape.corrupt = in_.byte() / 1000.0;
    net_.set_shape(shape);
  }

  /// Every packet meets the trouble that was chosen last.
  bool pass(const QuicNet::Packet& packet) {
    ++packets_;
    if (trouble_ == 0 || packets_ % 7 != trouble_ % 7U) return true;
    auto& to = packet.to == server_.address ? server_ : client_;
    switch (trouble_ % 5) {
      case 0:
        return false;
      case 1: {  // cut
        const ByteView rest = ByteView{packet.bytes}.first(packet.bytes.size() / 2);
        if (!rest.empty()) net_.inject_later(to, packet.from, rest);
        return false;
      }
      case 2:  // to and from nowhere known
        net_.inject_later(to, QuicNet::make_address(90 + trouble_ % 10U, 9), packet.bytes);
        return trouble_ % 2 == 0;
      case 3:
        last_ = packet.bytes;
        return true;
      case 4:  // an old one again
        if (!last_.empty()) net_.inject_later(to, packet.from, last_);
        return true;
    }
    return true;
  }

  /// Matches what the server accepted with what was dialed.
  void adopt() {
    for (; adopted_ < server_.accepted.size(); ++adopted_) {
      // Which dial it belongs to is told by none of the frames: any that has no far end yet will
      // do, as the order is checked for each end alone.
      accepted_.emplace_back();
      accepted_.back().connection = server_.accepted[adopted_];
      for (Ends& ends : sessions_) {
        if (ends.far.connection) continue;
        ends.far = std::move(accepted_.back());
        accepted_.pop_back();
        break;
      }
    }
  }

  void check() {
    TAYGA_CHECK(client_.table->size() <= 2 * kSessionsMax);
    const auto alive = std::ranges::count_if(
        server_.accepted, [](const auto& connection) { return !connection->is_finished(); });
    TAYGA_CHECK(alive <= static_cast<std::ptrdiff_t>(kSessionsMax));
    for (const Ends& ends : sessions_) {
      for (const End* end : {&ends.near, &ends.far}) check(*end);
    }
  }
  static void check(const End& end) {
    if (!end.connection) return;
    TAYGA_CHECK(end.connection->stats().queued_bytes <= 3 * 1024 * 1024);
    const auto control = test::numbers_of(*end.events, wire::FrameType::control);
    for (std::size_t i = 0; i < control.size(); ++i) TAYGA_CHECK(control[i] == i);
    auto media = test::numbers_of(*end.events, wire::FrameType::chunk);
    for (const auto& [type, payload] : end.events->frames) {
      // numbered_media fills the rest with the number's low byte.
      for (std::size_t i = 4; i < payload.size(); ++i) TAYGA_CHECK(payload[i] == payload[0]);
    }
    std::ranges::sort(media);
    TAYGA_CHECK(std::ranges::adjacent_find(media) == media.end());
    TAYGA_CHECK(media.size() + control.size() == end.events->frames.size());
  }

  /// All owners let go; within the timeouts nothing is left.
  void end() {
    trouble_ = 0;
    client_.kernel_full = server_.kernel_full = false;
    for (const auto& connection : server_.accepted) connection->abandon();
    for (const Ends& ends : sessions_) ends.near.connection->abandon();
    net_.run_for(60s);
    TAYGA_CHECK(client_.table->size() == 0);
    TAYGA_CHECK(server_.table->size() == 0);
    TAYGA_CHECK(client_.table->session_count() == 0);
    TAYGA_CHECK(server_.table->half_open() == 0);
  }

  fuzz::Input in_;
  std::vector<Ends> sessions_;  // before the net, which may still tell them
  std::vector<End> accepted_;
  QuicNet net_;
  test::QuicEndpoint& client_ = net_.add(table_options());
  test::QuicEndpoint& server_ = net_.add(table_options());
  std::size_t adopted_ = 0;
  std::uint8_t trouble_ = 0;
  std::uint64_t packets_ = 0;
  Bytes last_;
};

}  // namespace

/// ngtcp2 0.12.1 loses 144 bytes now and then when it joins the pieces of lost packets; what a
/// connection of ours may so hold is bounded (MemoryMeter). Our own leaks are still seen.
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libngtcp2.so";
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Run{fuzz::to_view(data, size)}.go();
  return 0;
}
