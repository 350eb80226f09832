#include "common/base/check.hpp"
#include "common/transport/quic/frame_tally.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/support/quic_net.hpp"

#include <vector>

// The packets of a real handshake and a real exchange, changed on their way as the input says: one
// in a few is flipped, cut, grown, swapped, sent from elsewhere, or replaced by the input's own
// bytes. Whatever comes: no address that is not proven gets more than three times what came from
// it, no key but the server's is taken for the server, no frame arrives changed, and all ends.
namespace {

using namespace tayga;
using test::QuicNet;
using transport::quic::ConnectionTable;

constexpr std::size_t kChangesMax = 200;
constexpr unsigned kStrangers = 8;

class Run {
 public:
  explicit Run(ByteView bytes) : in_{bytes} {
    options_.retry_above = in_.byte() % 2 == 0 ? 0 : 32;
    options_.connection.key_update_packets = 10 + in_.byte();
  }

  void go() {
    QuicNet net{in_.byte()};
    test::QuicEndpoint& client = net.add(options_);
    test::QuicEndpoint& server = net.add(options_);
    client.table->set_accepting(in_.byte() % 2 == 0);
    net.filter = [&](const QuicNet::Packet& packet) {
      if (packet.to == server.address) return change(net, packet, server);
      if (packet.to == client.address) return change(net, packet, client);
      return true;  // to a stranger, who never answers
    };
    test::QuicRecorder near;
    test::QuicRecorder far;
    for (std::uint32_t i = 0; i < 40; ++i) {
      near.media.push_back(test::numbered_media(i, 2000, i % 3));
      far.media.push_back(test::numbered_media(i, 2000, i % 3));
    }
    const auto dialed = client.dial(server);
    bool started = false;
    bool accepted = false;
    for (int i = 0; i < 80; ++i) {
      net.run_for(25ms);
      if (!started && dialed->is_established()) {
        started = true;
        TAYGA_CHECK(dialed->peer() == server.id());
        dialed->start(near);
        dialed->notify_media();
        dialed->send_control(test::numbered_control(0));
      }
      if (!accepted && !server.accepted.empty()) {
        accepted = true;
        TAYGA_CHECK(server.accepted[0]->peer() == client.id());
        server.accepted[0]->start(far);
        server.accepted[0]->notify_media();
      }
    }
    TAYGA_CHECK(server.accepted.size() <= 1);
    for (const auto* events : {&near, &far}) check(*events);
    for (unsigned i = 0; i < kStrangers; ++i) {
      TAYGA_CHECK(server.balance(stranger(i)).excess_max <= 0);
    }
    dialed->abandon();
    for (const auto& connection : server.accepted) connection->abandon();
    net.run_for(30s);
    TAYGA_CHECK(client.table->size() == 0 && server.table->size() == 0);
    TAYGA_CHECK(server.table->half_open() == 0);
  }

 private:
  static transport::quic::UdpAddress stranger(unsigned number) {
    return QuicNet::make_address((number + 1) * 256, 4000);
  }

  bool change(QuicNet& net, const QuicNet::Packet& packet, const test::QuicEndpoint& to) {
    if (in_.empty() || changes_ >= kChangesMax) return true;
    const std::uint8_t kind = in_.byte();
    if (kind >= 128) return true;  // left alone
    ++changes_;
    Bytes changed = packet.bytes;
    auto from = packet.from;
    bool also = false;
    switch (kind % 8) {
      case 0:
        changed[in_.number16() % changed.size()] ^= static_cast<std::byte>(1U << (in_.byte() % 8U));
        break;
      case 1:  // of the header, where it hurts most
        changed[in_.byte() % std::min<std::size_t>(changed.size(), 60)] =
            static_cast<std::byte>(in_.byte());
        break;
      case 2:
        changed.resize(1 + in_.number16() % changed.size());
        break;
      case 3:
        changed.resize(std::min<std::size_t>(changed.size() + in_.byte(), 1500), std::byte{0});
        break;
      case 4: {  // bytes of the input's own
        const ByteView own = in_.take(1 + in_.byte() % 64U);
        const std::size_t at = in_.number16() % changed.size();
        std::copy_n(own.begin(), std::min(own.size(), changed.size() - at),
                    changed.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      }
      case 5:  // late, behind others
        std::swap(changed, kept_);
        if (changed.empty()) return false;
        break;
      case 6:
        from = stranger(in_.byte() % kStrangers);
        also = in_.byte() % 2 == 0;
        break;
      case 7:  // twice
        also = true;
        break;
    }
    net.inject_later(to, from, changed);
    return also;
  }

  static void check(const test::QuicRecorder& events) {
    std::vector<std::uint32_t> next(3);
    for (const auto& [type, payload] : events.frames) {
      if (type != wire::FrameType::chunk) continue;
      TAYGA_CHECK(payload.size() == 2000);
      for (std::size_t i = 4; i < payload.size(); ++i) TAYGA_CHECK(payload[i] == payload[0]);
    }
    for (const std::uint32_t number : test::numbers_of(events, wire::FrameType::chunk)) {
      TAYGA_CHECK(number / 3 == next[number % 3]++);  // of its flow, in order
    }
  }

  fuzz::Input in_;
  ConnectionTable::Options options_;
  std::size_t changes_ = 0;
  Bytes kept_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  transport::quic::FrameTally tally;
  tally.add(fuzz::to_view(data, size));
  TAYGA_CHECK(tally.data_bytes <= size);
  Run{fuzz::to_view(data, size)}.go();
  return 0;
}
