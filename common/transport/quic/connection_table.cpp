#include "common/transport/quic/connection_table.hpp"

#include "common/crypto/hash.hpp"

#include <algorithm>
#include <utility>

namespace tayga::transport::quic {
namespace {

/// Then the executor's other work gets its turn, and the clock is read again.
constexpr std::size_t kWritesPerDrain = 16;
constexpr std::size_t kTimeoutsPerCall = 64;
/// Retries, refusals, resets and version lists together. A few percent of a core.
constexpr unsigned kAnswersPerSecond = 2000;
constexpr Duration kFarewellTime = 3s;
constexpr std::size_t kFarewellsMax = 256;
/// What looks like the end of a connection may not begin another exchange of such (RFC 9000, 10.3).
constexpr std::size_t kResetSize = 42;

std::string to_key(const UdpAddress& address) {
  const ByteView host = address.host();
  std::string key{as_text(host)};
  key.push_back(static_cast<char>(address.port() >> 8U));
  key.push_back(static_cast<char>(address.port() & 0xFFU));
  return key;
}

boost::asio::ip::address to_ip(const UdpAddress& address) {
  return address.endpoint().address;
}

std::uint64_t random_word() noexcept {
  std::uint64_t word = 0;
  crypto::random_bytes(std::as_writable_bytes(std::span{&word, 1}));
  return word;
}

/// After a restart all of a network's children may come back at once, and are welcome.
PrefixRate::Rate handshake_rate(const ConnectionTable::Options& options) {
  constexpr std::size_t kBurstMin = 64;
  return {options.handshakes_per_prefix,
          static_cast<std::uint32_t>(std::max(options.sessions_max, kBurstMin))};
}

}  // namespace

bool ConnectionTable::AnswerBudget::take(TimePoint now) noexcept {
  if (now - second >= 1s) {
    second = now;
    used = 0;
  }
  return used++ < kAnswersPerSecond;
}

ConnectionTable::ConnectionTable(const Options& options,
                                 std::shared_ptr<const Credentials> credentials, PacketSink& sink,
                                 ConnectionTableEvents& events)
    : options_{options},
      credentials_{std::move(credentials)},
      sink_{sink},
      events_{events},
      half_open_{options.half_open_max, options.half_open_per_prefix_max},
      rate_{handshake_rate(options), random_word()},
      retry_{options_.token_key} {}

ConnectionTable::~ConnectionTable() {
  close_all(now_);
}

void ConnectionTable::close_all(TimePoint now) {
  now_ = std::max(now_, now);
  std::vector<std::shared_ptr<Connection>> all;
  all.reserve(connections_.size());
  for (const auto& [key, connection] : connections_) all.push_back(connection);
  for (const auto& connection : all) {
    connection->abandon();
    connection->write(sink_, now_);
  }
}

// The connections' side.

ConnectionId ConnectionTable::make_connection_id() {
  ConnectionId id;
  id.size = kConnectionIdSize;
  crypto::random_bytes(std::as_writable_bytes(std::span{id.bytes}.first(kConnectionIdSize)));
  // The first byte modulo the number of workers is ours, and random beyond that.
  const unsigned whole = 256 / options_.worker_count;
  const unsigned multiple = id.bytes[0] % whole;
  id.bytes[0] = static_cast<std::uint8_t>(multiple * options_.worker_count + options_.worker);
  return id;
}

void ConnectionTable::add_id(const ConnectionId& id, Connection& connection) {
  ids_[id] = &connection;
  last_found_ = nullptr;
}

void ConnectionTable::remove_id(const ConnectionId& id) {
  ids_.erase(id);
  last_found_ = nullptr;
}

void ConnectionTable::make_reset_token(const ConnectionId& id, std::uint8_t* token) {
  ngtcp2_cid cid{};
  ngtcp2_cid_init(&cid, id.bytes.data(), id.size);
  const auto* const key = reinterpret_cast<const std::uint8_t*>(options_.reset_key.data());
  (void)ngtcp2_crypto_generate_stateless_reset_token(token, key, options_.reset_key.size(), &cid);
}

void ConnectionTable::wants_write(Connection& connection) {
  if (connection.write_wanted) return;
  connection.write_wanted = true;
  writes_.push_back(connection.shared_from_this());
  if (writes_.size() == 1) events_.wants_drain();
}

Duration ConnectionTable::flush_delay() {
  if (flush_delay_ <= Duration{0}) return Duration{0};
  // A chunk reaches all children at once. If they all waited equally long, they would all be
  // written at once as well, and the last one would wait for the others on top: they spread,
  // anew each time.
  phase_ = phase_ * 6364136223846793005ULL + 1442695040888963407ULL;
  const auto spread = static_cast<std::uint64_t>(flush_spread_.count());
  return flush_delay_ - Duration{static_cast<Duration::rep>((phase_ >> 33U) % (spread + 1))};
}

void ConnectionTable::on_established(Connection& connection) {
  ++session_count_;
  if (connection.side() == Side::dialer) return events_.on_dial_ended(connection);
  half_open_.release(to_ip(connection.first_path().remote));
  if (session_count_ > options_.sessions_max) {  // there was room when its handshake began
    ++counters_.handshakes_refused;
    return connection.abandon();
  }
  events_.on_accepted(connection.shared_from_this());
}

void ConnectionTable::on_ticket(const NodeId& peer, Bytes ticket) {
  tickets_.put(peer, std::move(ticket));
}

void ConnectionTable::on_finished(Connection& connection, Bytes farewell) {
  const std::shared_ptr<Connection> self = connection.shared_from_this();
  timers_.remove(connection);
  for (const ConnectionId& id : connection.ids()) remove_id(id);
  const auto remote = by_remote_.find(to_key(connection.first_path().remote));
  if (remote != by_remote_.end() && remote->second == &connection) by_remote_.erase(remote);
  connections_.erase(&connection);
  if (connection.is_established()) {
    --session_count_;
  } else if (connection.side() == Side::acceptor) {
    half_open_.release(to_ip(connection.first_path().remote));
  }
  if (!farewell.empty()) {
    auto last = std::make_shared<Farewell>();
    last->packet = std::move(farewell);
    last->path = connection.current_path();
    last->until = now_ + kFarewellTime;
    last->ids = connection.ids();
    if (farewell_order_.size() >= kFarewellsMax) forget_oldest_farewell();
    for (const ConnectionId& id : last->ids) farewells_[id] = last;
    farewell_order_.push_back(std::move(last));
  }
  if (!connection.is_established() && connection.side() == Side::dialer) {
    events_.on_dial_ended(connection);
  }
}

// The transport's side.

void ConnectionTable::add(const std::shared_ptr<Connection>& connection) {
  connections_.emplace(connection.get(), connection);
  by_remote_[to_key(connection->first_path().remote)] = connection.get();
}

std::shared_ptr<Connection> ConnectionTable::dial(const UdpPath& path, const NodeId& expected,
                                                  TimePoint now) {
  now_ = std::max(now_, now);
  const Bytes ticket = tickets_.take(expected);
  const Connection::Setup setup{&options_.connection, this, credentials_, path, now_};
  std::shared_ptr<Connection> connection = Connection::dial(setup, {expected, ticket});
  if (connection) add(connection);
  return connection;
}

std::size_t ConnectionTable::migrate_dialed(const UdpAddress& local, TimePoint now) {
  std::size_t count = 0;
  for (const auto& [key, connection] : connections_) {
    if (connection->first_path().local.is_v6() != local.is_v6()) continue;
    if (connection->migrate(local, now)) ++count;
  }
  return count;
}

bool ConnectionTable::drain(TimePoint now) {
  now_ = std::max(now_, now);
  for (std::size_t i = 0; i < kWritesPerDrain && !writes_.empty(); ++i) {
    if (sink_.blocked()) return false;  // the transport calls again when it is not
    const std::shared_ptr<Connection> connection = writes_.pop_front();
    connection->write_wanted = false;
    const bool more = connection->write(sink_, now_);
    if (connection->is_finished()) continue;
    timers_.set(*connection, connection->next_timeout());
    if (more) wants_write(*connection);
  }
  return !writes_.empty();
}

TimePoint ConnectionTable::next_timeout() const noexcept {
  return timers_.next();
}

void ConnectionTable::on_timeout(TimePoint now) {
  now_ = std::max(now_, now);
  for (std::size_t i = 0; i < kTimeoutsPerCall && timers_.next() <= now_; ++i) {
    const std::shared_ptr<Connection> connection = timers_.front().shared_from_this();
    timers_.remove(*connection);
    connection->on_timeout(now_);
  }
  forget_farewells(now_);
}

void ConnectionTable::on_packet(const UdpPath& path, ByteView packet, TimePoint now) {
  now_ = std::max(now_, now);
  ++counters_.packets_in;
  ngtcp2_version_cid ids{};
  const int decoded =
      ngtcp2_pkt_decode_version_cid(&ids, as_uchar(packet), packet.size(), kConnectionIdSize);
  if (decoded == NGTCP2_ERR_VERSION_NEGOTIATION) {
    if (accepting_) answer_version(ids, path, packet.size(), now_);
    return;
  }
  if (decoded != 0) return;
  // Packets of one connection arrive side by side.
  const ConnectionId id = ConnectionId::from(ids.dcid, ids.dcidlen);
  if (last_found_ == nullptr || !(last_id_ == id)) {
    const auto found = ids_.find(id);
    last_found_ = found == ids_.end() ? nullptr : found->second;
    last_id_ = id;
  }
  if (last_found_ != nullptr) {
    const std::shared_ptr<Connection> connection = last_found_->shared_from_this();
    return connection->on_packet(path, packet, now_);
  }
  ++counters_.strangers;
  if (repeat_farewell(id, packet.size())) return;
  if ((static_cast<unsigned>(packet[0]) & 0x80U) == 0) {
    on_unknown_short(ids, path, packet, now_);
  } else {
    on_unknown_long(ids, path, packet, now_);
  }
}

bool ConnectionTable::belongs_elsewhere(const std::uint8_t* id, std::size_t size) const noexcept {
  return size > 0 && id[0] % options_.worker_count != options_.worker;
}

void ConnectionTable::on_unknown_short(const ngtcp2_version_cid& ids, const UdpPath& path,
                                       ByteView packet, TimePoint now) {
  if (belongs_elsewhere(ids.dcid, ids.dcidlen)) {
    ++counters_.handed_over;
    return events_.hand_over(ids.dcid[0] % options_.worker_count, packet, path);
  }
  // A stateless reset has a random id: only where it comes from says whose it may be.
  const auto peer = by_remote_.find(to_key(path.remote));
  if (peer != by_remote_.end()) {
    const std::shared_ptr<Connection> connection = peer->second->shared_from_this();
    connection->on_packet(path, packet, now);
    if (connection->is_finished()) return;
  }
  if (accepting_) answer_reset(ids, path, packet.size(), now);
}

void ConnectionTable::on_unknown_long(const ngtcp2_version_cid& ids, const UdpPath& path,
                                      ByteView packet, TimePoint now) {
  if (belongs_elsewhere(ids.dcid, ids.dcidlen)) {
    ++counters_.handed_over;
    return events_.hand_over(ids.dcid[0] % options_.worker_count, packet, path);
  }
  if (!accepting_) return;
  ngtcp2_pkt_hd header{};
  if (ngtcp2_accept(&header, as_uchar(packet), packet.size()) != 0) return;
  on_initial(header, path, packet, now);
}

void ConnectionTable::on_initial(const ngtcp2_pkt_hd& header, const UdpPath& path, ByteView packet,
                                 TimePoint now) {
  std::size_t token_size = 0;
  (void)shim::token_of(header, token_size);
  std::optional<ngtcp2_cid> original;
  if (token_size > 0) {
    original = retry_.redeem(header, path.remote, now);
    if (!original) {
      ++counters_.tokens_refused;
      return answer_close(header, NGTCP2_INVALID_TOKEN, path, now);
    }
  } else if (half_open_.size() >= options_.retry_above) {
    return answer_retry(header, path, now);
  }
  accept(header, original, path, packet, now);
}

void ConnectionTable::accept(const ngtcp2_pkt_hd& header, const std::optional<ngtcp2_cid>& original,
                             const UdpPath& path, ByteView packet, TimePoint now) {
  const boost::asio::ip::address address = to_ip(path.remote);
  if (session_count_ >= options_.sessions_max || !rate_.admit(address, now) ||
      !half_open_.admit(address)) {
    ++counters_.handshakes_refused;
    return answer_close(header, NGTCP2_CONNECTION_REFUSED, path, now);
  }
  const Connection::Setup setup{&options_.connection, this, credentials_, path, now};
  const std::shared_ptr<Connection> connection = Connection::accept(setup, {header, original});
  if (!connection) return half_open_.release(address);
  add(connection);
  connection->on_packet(path, packet, now);
}

// Strangers.

void ConnectionTable::answer_version(const ngtcp2_version_cid& ids, const UdpPath& path,
                                     std::size_t received, TimePoint now) {
  constexpr std::size_t kInitialMin = 1200;
  if (received < kInitialMin || !answers_.take(now)) return;
  const std::array<std::uint32_t, 1> versions{NGTCP2_PROTO_VER_V1};
  const std::span<std::uint8_t> out = sink_.reserve(kInitialMin);
  const ngtcp2_ssize size =
      ngtcp2_pkt_write_version_negotiation(out.data(), out.size(), 0x40, ids.scid, ids.scidlen,
                                           ids.dcid, ids.dcidlen, versions.data(), versions.size());
  if (size > 0) sink_.commit(static_cast<std::size_t>(size), path);
  events_.wants_drain();
}

void ConnectionTable::answer_retry(const ngtcp2_pkt_hd& header, const UdpPath& path,
                                   TimePoint now) {
  if (!answers_.take(now)) return;
  const ConnectionId id = make_connection_id();
  ngtcp2_cid source{};
  ngtcp2_cid_init(&source, id.bytes.data(), id.size);
  const std::span<std::uint8_t> out = sink_.reserve(NGTCP2_MAX_UDP_PAYLOAD_SIZE);
  const std::size_t size = retry_.write_retry(out, header, path.remote, source, now);
  if (size == 0) return;
  ++counters_.retries_sent;
  sink_.commit(size, path);
  events_.wants_drain();
}

void ConnectionTable::answer_close(const ngtcp2_pkt_hd& header, std::uint64_t error,
                                   const UdpPath& path, TimePoint now) {
  if (!answers_.take(now)) return;
  const std::span<std::uint8_t> out = sink_.reserve(NGTCP2_MAX_UDP_PAYLOAD_SIZE);
  const ngtcp2_ssize size = ngtcp2_crypto_write_connection_close(
      out.data(), out.size(), header.version, &header.scid, &header.dcid, error, nullptr, 0);
  if (size <= 0) return;
  sink_.commit(static_cast<std::size_t>(size), path);
  events_.wants_drain();
}

void ConnectionTable::answer_reset(const ngtcp2_version_cid& ids, const UdpPath& path,
                                   std::size_t received, TimePoint now) {
  if (received <= kResetSize || ids.dcidlen == 0 || !answers_.take(now)) return;
  std::array<std::uint8_t, NGTCP2_STATELESS_RESET_TOKENLEN> token;
  make_reset_token(ConnectionId::from(ids.dcid, ids.dcidlen), token.data());
  std::array<std::uint8_t, kResetSize - NGTCP2_STATELESS_RESET_TOKENLEN> unpredictable;
  crypto::random_bytes(std::as_writable_bytes(std::span{unpredictable}));
  const std::span<std::uint8_t> out = sink_.reserve(NGTCP2_MAX_UDP_PAYLOAD_SIZE);
  const ngtcp2_ssize size = ngtcp2_pkt_write_stateless_reset(
      out.data(), kResetSize, token.data(), unpredictable.data(), unpredictable.size());
  if (size <= 0) return;
  ++counters_.resets_sent;
  sink_.commit(static_cast<std::size_t>(size), path);
  events_.wants_drain();
}

// Farewells.

/// RFC 9000, 10.2.1: answers fewer and fewer of the packets that still come; and never with more
/// than they brought, as the address may be made up.
bool ConnectionTable::repeat_farewell(const ConnectionId& id, std::size_t received) {
  const auto found = farewells_.find(id);
  if (found == farewells_.end()) return false;
  Farewell& farewell = *found->second;
  const unsigned heard = ++farewell.heard;
  farewell.bytes_heard += received;
  if ((heard & (heard - 1)) != 0) return true;  // the 1st, 2nd, 4th, 8th ...
  if (farewell.bytes_heard < farewell.packet.size()) return true;
  farewell.bytes_heard = 0;
  const std::span<std::uint8_t> out = sink_.reserve(farewell.packet.size());
  std::memcpy(out.data(), farewell.packet.data(), farewell.packet.size());
  sink_.commit(farewell.packet.size(), farewell.path);
  events_.wants_drain();
  return true;
}

void ConnectionTable::forget_farewells(TimePoint now) {
  while (!farewell_order_.empty() && farewell_order_.front()->until <= now) {
    forget_oldest_farewell();
  }
}

void ConnectionTable::forget_oldest_farewell() {
  const std::shared_ptr<Farewell> oldest = std::move(farewell_order_.front());
  farewell_order_.pop_front();
  for (const ConnectionId& id : oldest->ids) {
    const auto found = farewells_.find(id);
    if (found != farewells_.end() && found->second == oldest) farewells_.erase(found);
  }
}

}  // namespace tayga::transport::quic
