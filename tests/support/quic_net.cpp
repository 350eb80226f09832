#include "tests/support/quic_net.hpp"

#include "common/base/check.hpp"

#include <algorithm>
#include <cstring>

namespace tayga::test {
namespace {

using transport::CloseInfo;
using transport::OutboundMedia;
using transport::quic::Connection;
using transport::quic::ConnectionTable;
using transport::quic::PacketSink;
using transport::quic::UdpAddress;
using transport::quic::UdpPath;

constexpr std::array<std::byte, transport::quic::kTicketKeySize> kTicketKey{};
/// Far from zero, as a real clock is.
constexpr TimePoint kStart{3600s};
/// Turns that endpoints may take at one instant before it is a bug.
constexpr int kTurnsMax = 100'000;

std::string to_key(const UdpAddress& address) {
  return transport::to_string(address.endpoint());
}

std::span<const std::byte, transport::quic::kTicketKeySize> to_ticket_key(ByteView key) {
  TAYGA_CHECK(key.size() == transport::quic::kTicketKeySize);
  return key.first<transport::quic::kTicketKeySize>();
}

}  // namespace

void QuicRecorder::on_frame(wire::FrameType type, ByteView payload) {
  TAYGA_CHECK(!closed);
  frames.emplace_back(type, Bytes(payload.begin(), payload.end()));
  if (then_on_frame) then_on_frame();
}

std::optional<OutboundMedia> QuicRecorder::next_media() {
  TAYGA_CHECK(!closed);
  if (then_on_pull) then_on_pull();
  if (media.empty()) return std::nullopt;
  OutboundMedia next = std::move(media.front());
  media.pop_front();
  ++pulled;
  return next;
}

void QuicRecorder::on_closed(const CloseInfo& info) {
  TAYGA_CHECK(!closed);
  closed = info;
  if (then_on_closed) then_on_closed();
}

// Endpoint.

QuicEndpoint::QuicEndpoint(QuicNet& network, const ConnectionTable::Options& options,
                           const UdpAddress& local, crypto::SigningKey identity,
                           ByteView ticket_key)
    : net{network},
      key{std::move(identity)},
      address{local},
      options_{options},
      credentials_{transport::quic::make_credentials(key, to_ticket_key(ticket_key))} {
  restart();
}

QuicEndpoint::~QuicEndpoint() {
  net.filter = [](const QuicNet::Packet&) { return false; };  // the others may be gone already
  table.reset();
}

void QuicEndpoint::restart() {
  auto passing = std::exchange(net.filter, [](const QuicNet::Packet&) { return false; });
  accepted.clear();
  table.reset();  // its last words do not get out
  net.filter = std::move(passing);
  PacketSink& sink = *this;
  transport::quic::ConnectionTableEvents& events = *this;
  table = std::make_unique<ConnectionTable>(options_, credentials_, sink, events);
  table->set_accepting(true);
}

std::shared_ptr<Connection> QuicEndpoint::dial(const QuicEndpoint& to) {
  return dial(to.address, to.id());
}

std::shared_ptr<Connection> QuicEndpoint::dial(const UdpAddress& to, const NodeId& expected) {
  return table->dial({address, to}, expected, net.now());
}

QuicEndpoint::Balance& QuicEndpoint::balance(const UdpAddress& remote) {
  return balances_[to_key(remote)];
}

std::span<std::uint8_t> QuicEndpoint::reserve(std::size_t size) {
  TAYGA_CHECK(size <= buffer_.size());
  return {buffer_.data(), size};
}

void QuicEndpoint::commit(std::size_t size, const UdpPath& path) {
  Balance& with = balance(path.remote);
  with.sent += size;
  with.excess_max = std::max(with.excess_max, static_cast<std::int64_t>(with.sent) -
                                                  3 * static_cast<std::int64_t>(with.received));
  net.send(path, std::as_bytes(std::span{buffer_}.first(size)));
}

void QuicEndpoint::on_accepted(std::shared_ptr<Connection> connection) {
  accepted.push_back(std::move(connection));
}

void QuicEndpoint::on_dial_ended(Connection& connection) {
  ended_dials.push_back(&connection);
}

void QuicEndpoint::hand_over(unsigned worker, ByteView packet, const UdpPath&) {
  handed_over.emplace_back(worker, Bytes(packet.begin(), packet.end()));
}

// Net.

QuicNet::QuicNet(std::uint64_t seed) : now_{kStart}, model_{LinkShape{.delay = 10ms}, seed} {}

QuicNet::~QuicNet() {
  endpoints_.clear();
}

UdpAddress QuicNet::make_address(unsigned host, std::uint16_t port) {
  const boost::asio::ip::address_v4 address{0xC0000200U + host};
  return UdpAddress::from(transport::Endpoint{address, port});
}

QuicEndpoint& QuicNet::add(const ConnectionTable::Options& options) {
  return add(options, crypto::SigningKey::generate(), kTicketKey);
}

QuicEndpoint& QuicNet::add(const ConnectionTable::Options& options, crypto::SigningKey key,
                           ByteView ticket_key) {
  const UdpAddress address = make_address(static_cast<unsigned>(endpoints_.size()) + 1);
  endpoints_.push_back(
      std::make_unique<QuicEndpoint>(*this, options, address, std::move(key), ticket_key));
  attach(*endpoints_.back(), address);
  return *endpoints_.back();
}

void QuicNet::attach(QuicEndpoint& endpoint, const UdpAddress& address) {
  places_.emplace_back(address, &endpoint);
}

void QuicNet::translate(const UdpAddress& local, const UdpAddress& seen) {
  std::erase_if(translations_, [&](const auto& t) { return t.first == local; });
  translations_.emplace_back(local, seen);
}

void QuicNet::send(const UdpPath& path, ByteView packet) {
  Packet sent{now_, 0, path.local, path.remote, {packet.begin(), packet.end()}};
  for (const auto& [local, seen] : translations_) {
    if (local == path.local) sent.from = seen;
  }
  if (filter && !filter(sent)) return;
  const PacketFate fate = model_.on_packet(packet.size(), now_);
  for (std::size_t i = 0; i < fate.count; ++i) {
    Packet copy = sent;
    copy.at = fate.arrivals[i].at;
    copy.order = next_order_++;
    if (const auto bit = fate.arrivals[i].flipped_bit) {
      copy.bytes[*bit / 8] ^= std::byte{1} << (*bit % 8);
    }
    held_.push(std::move(copy));
  }
}

void QuicNet::deliver(const Packet& packet) {
  UdpAddress to = packet.to;
  bool hidden = false;
  for (const auto& [local, seen] : translations_) {
    if (seen == packet.to) to = local;
    hidden = hidden || local == packet.to;
  }
  if (hidden && to == packet.to) return;  // to an address that the NAT no longer knows
  for (const auto& [address, endpoint] : places_) {
    if (!(address == to)) continue;
    endpoint->balance(packet.from).received += packet.bytes.size();
    return endpoint->table->on_packet({to, packet.from}, packet.bytes, now_);
  }
}

void QuicNet::inject(QuicEndpoint& to, const UdpAddress& from, ByteView packet) {
  to.balance(from).received += packet.size();
  to.table->on_packet({to.address, from}, packet, now_);
}

void QuicNet::inject_later(const QuicEndpoint& to, const UdpAddress& from, ByteView packet) {
  held_.push(
      {now_ + shape().delay, next_order_++, from, to.address, {packet.begin(), packet.end()}});
}

void QuicNet::settle() {
  for (const auto& endpoint : endpoints_) {
    if (endpoint->kernel_full) continue;
    int turns = 0;
    while (endpoint->table->drain(now_)) TAYGA_CHECK(++turns < kTurnsMax);
  }
}

void QuicNet::step(TimePoint end) {
  settle();
  TimePoint next = held_.empty() ? end : std::min(end, held_.top().at);
  for (const auto& endpoint : endpoints_) next = std::min(next, endpoint->table->next_timeout());
  now_ = std::max(now_, next);
  for (int turns = 0; !held_.empty() && held_.top().at <= now_; ++turns) {
    TAYGA_CHECK(turns < kTurnsMax);
    const Packet packet = held_.top();
    held_.pop();
    deliver(packet);
  }
  for (const auto& endpoint : endpoints_) {
    if (endpoint->table->next_timeout() <= now_) endpoint->table->on_timeout(now_);
  }
  settle();
}

void QuicNet::run_for(Duration time) {
  const TimePoint end = now_ + time;
  int turns = 0;
  while (now_ < end) {
    const TimePoint before = now_;
    step(end);
    turns = now_ == before ? turns + 1 : 0;
    TAYGA_CHECK(turns < kTurnsMax);  // a timer that fires in circles
  }
}

bool QuicNet::run_until(const std::function<bool()>& done, Duration limit) {
  const TimePoint end = now_ + limit;
  settle();
  int turns = 0;
  while (!done()) {
    if (now_ >= end) return false;
    const TimePoint before = now_;
    step(end);
    turns = now_ == before ? turns + 1 : 0;
    TAYGA_CHECK(turns < kTurnsMax);
  }
  return true;
}

// Pair.

QuicPair::QuicPair(const ConnectionTable::Options& options, const LinkShape& shape,
                   std::uint64_t seed)
    : net{seed}, client{net.add(options)}, server{net.add(options)} {
  if (!(shape.delay == Duration{0})) net.set_shape(shape);
}

bool QuicPair::connect(Duration limit) {
  near = client.dial(server);
  const auto up = [this] { return near->is_established() && !server.accepted.empty(); };
  if (!net.run_until(up, limit)) return false;
  far = server.accepted.back();
  return true;
}

void QuicPair::start() {
  near->start(near_events);
  far->start(far_events);
}

OutboundMedia numbered_media(std::uint32_t number, std::size_t payload_size, std::uint32_t flow) {
  TAYGA_CHECK(payload_size >= sizeof number);
  Bytes payload(payload_size, static_cast<std::byte>(number));
  std::memcpy(payload.data(), &number, sizeof number);
  return {{{}, TrackId{flow}},
          std::make_shared<const Bytes>(wire::serialize_frame(wire::FrameType::chunk, payload))};
}

SharedBytes numbered_control(std::uint32_t number) {
  Bytes payload(sizeof number);
  std::memcpy(payload.data(), &number, sizeof number);
  return std::make_shared<const Bytes>(wire::serialize_frame(wire::FrameType::control, payload));
}

std::vector<std::uint32_t> numbers_of(const QuicRecorder& events, wire::FrameType type) {
  std::vector<std::uint32_t> numbers;
  for (const auto& [frame_type, payload] : events.frames) {
    if (frame_type != type || payload.size() < sizeof(std::uint32_t)) continue;
    std::uint32_t number = 0;
    std::memcpy(&number, payload.data(), sizeof number);
    numbers.push_back(number);
  }
  return numbers;
}

}  // namespace tayga::test
