#include "tests/support/test_network.hpp"

#include "common/async/clock.hpp"
#include "common/base/check.hpp"

#include <utility>

namespace tayga::test {
namespace {

constexpr std::uint32_t kKeyId = 7;
constexpr std::uint32_t kAccountingEpoch = 42;
constexpr std::int64_t kTermMs = 600'000;

std::int64_t wall_ms() {
  return async::Clock::wall_now().time_since_epoch().count() / 1000;
}

PublisherEpoch epoch_now() {
  return PublisherEpoch{static_cast<std::uint32_t>(wall_ms() / 1000)};
}

transport::Endpoint loopback() {
  return *transport::parse_endpoint("127.0.0.1:0");
}

}  // namespace

bool run_until(boost::asio::io_context& io, std::chrono::milliseconds limit,
               const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    io.restart();
    io.run_one_for(std::chrono::milliseconds{5});
    io.poll();
  }
  return true;
}

TestNetwork::TestNetwork(unsigned stripe_count) : stripe_count_{stripe_count} {
  crypto::random_bytes(network_.bytes);
  std::array<std::byte, 32> secret{};
  crypto::random_bytes(secret);
  handle_ = crypto::stream_handle(stream(), secret);
}

wire::AllocationBlob TestNetwork::allocation(const NodeId& sender, const NodeId& receiver) const {
  wire::Allocation allocation;
  allocation.epoch = kAccountingEpoch;
  crypto::random_bytes(allocation.id.bytes);
  allocation.network = network_;
  allocation.sender = sender;
  allocation.receiver = receiver;
  allocation.stream_handle = handle_;
  allocation.stripe_mask = 0xffffffff;
  allocation.max_kbps = 100'000;
  allocation.not_before_ms = wall_ms();
  allocation.not_after_ms = wall_ms() + kTermMs;
  allocation.max_bytes = 1ULL << 40;
  allocation.key_id = kKeyId;
  return media::sign_allocation(allocation, online_key_);
}

relay::StreamDescriptor TestNetwork::descriptor() const {
  relay::StreamDescriptor descriptor;
  descriptor.id = stream();
  descriptor.name = "test";
  descriptor.stripe_count = stripe_count_;
  descriptor.handles = {handle_};
  relay::TrackInfo track;
  track.id = kTestTrack;
  track.playlist_path = "index.m3u8";
  track.bitrate_bps = 8'000'000;
  descriptor.tracks.push_back(track);
  return descriptor;
}

media::OnlineKey TestNetwork::online_key() const {
  media::OnlineKey key;
  key.key_id = kKeyId;
  key.not_before_ms = wall_ms() - 1000;
  key.not_after_ms = wall_ms() + kTermMs;
  key.network = network_;
  key.key = online_key_.public_key();
  return key;
}

TestNode::TestNode(boost::asio::io_context& io, const TestNetwork& network,
                   const relay::RelayLimits& limits, peers::UploadGate* upload)
    : io_{io}, network_{network} {
  relay_ = std::make_unique<relay::Relay>(identity_, limits, Duration{10s});
  transport::tls::TlsOptions tls;
  // What was let pass leaves at once, however busy the machine is: tests look at seconds.
  if (upload != nullptr) tls.flush_delay = transport::FlushDelay::fixed(Duration{0});
  transport_ = transport::tls::make_tls_transport(io.get_executor(), identity_, tls);
  peers::RelayDriver::Options options;
  options.self = id();
  options.software = "test";
  options.upload = upload;
  driver_ =
      std::make_unique<peers::RelayDriver>(io.get_executor(), *relay_, *transport_, *this, options);
  driver_->set_network(network.network());
  driver_->input(
      [&](relay::Relay& relay, relay::Now) { relay.on_online_keys({network_.online_key()}); });
  const auto bound = driver_->listen(loopback());
  TAYGA_CHECK(bound.has_value());
  endpoint_ = *bound;
}

TestNode::~TestNode() {
  kill();
}

void TestNode::kill() {
  if (transport_) transport_->stop();
  driver_.reset();
  transport_.reset();
  relay_.reset();
}

void TestNode::follow(const std::vector<const TestNode*>& parents) {
  std::map<NodeId, transport::Endpoint> addresses;
  std::vector<NodeId> ids;
  for (const TestNode* parent : parents) {
    addresses[parent->id()] = parent->endpoint();
    ids.push_back(parent->id());
  }
  follow(addresses, ids);
}

void TestNode::follow(const std::map<NodeId, transport::Endpoint>& addresses,
                      const std::vector<NodeId>& parents) {
  relay::Assignment assignment;
  assignment.incarnation = 1;
  assignment.revision = ++revision_;
  assignment.stream = network_.descriptor();
  for (unsigned stripe = 0; stripe < network_.stripe_count(); ++stripe) {
    relay::Upstream link;
    link.track = kTestTrack;
    link.stripe = StripeIndex{static_cast<std::uint8_t>(stripe)};
    link.parent = parents[stripe % parents.size()];
    assignment.upstream.push_back(link);
  }
  std::map<NodeId, std::vector<transport::Endpoint>> endpoints;
  for (const auto& [parent, endpoint] : addresses) {
    endpoints[parent] = {endpoint};
    assignment.allocations.push_back(network_.allocation(parent, id()));
  }
  driver_->set_addresses(network_.stream(), endpoints);
  driver_->input(
      [&](relay::Relay& relay, relay::Now now) { relay.on_assignment(assignment, now); });
}

void TestNode::play() {
  driver_->input([&](relay::Relay& relay, relay::Now now) {
    relay.on_local_demand(network_.stream(), {kTestTrack}, now);
  });
}

std::map<std::string, crypto::Sha256Digest> TestNode::played() const {
  std::map<std::string, crypto::Sha256Digest> played;
  const relay::ObjectStore* store = relay_->objects(network_.stream(), kTestTrack);
  if (!store) return played;
  for (const relay::ObjectInfo& object : store->list()) {
    if (!object.complete() || object.path.empty()) continue;
    crypto::Sha256 hash;
    std::uint64_t offset = 0;
    while (offset < *object.size) {
      const auto part = store->read(object.epoch, object.id, offset);
      TAYGA_CHECK(part && !part->bytes.empty());
      hash.update(part->bytes);
      offset += part->bytes.size();
    }
    played[object.path] = hash.finish();
  }
  return played;
}

void TestNode::on_parent_lost(const relay::Relay::ParentLost& lost) {
  lost_.push_back(lost);
  if (on_lost) on_lost(lost);
}
/// No origin has what these tests publish.
void TestNode::on_fetch_origin(const relay::Relay::FetchOrigin& fetch) {
  driver_->input(
      [&](relay::Relay& relay, relay::Now now) { relay.on_origin_done(fetch.request, {}, now); });
}
void TestNode::on_tampered(const relay::Relay::Tampered& tampered) {
  tampered_.push_back(tampered);
}
void TestNode::on_progress(const StreamId&, TrackId) {}

TestPublisher::TestPublisher(TestNode& gateway, const TestNetwork& network, std::uint64_t seed)
    : gateway_{gateway}, slicer_{network.stream_key(), kTestTrack, epoch_now()}, state_{seed} {
  gateway_.driver().input([&](relay::Relay& relay, relay::Now now) {
    relay.on_publish_started(network.descriptor(), now);
  });
}

void TestPublisher::publish(std::size_t size) {
  const std::string path = "seg_" + std::to_string(count_++) + ".ts";
  const Bytes bytes = seeded_bytes(state_, size);
  published_[path] = crypto::sha256(bytes);
  for (media::SignedSlice& slice : slices_of(slicer_, path, bytes)) {
    gateway_.driver().input(
        [&](relay::Relay& relay, relay::Now now) { relay.on_published(std::move(slice), now); });
  }
}

std::vector<media::SignedSlice> TestPublisher::slices_of(media::Slicer& slicer,
                                                         const std::string& path, ByteView bytes) {
  const relay::Now now = peers::RelayDriver::now();
  media::Slicer::ObjectInfo info;
  info.path = path;
  info.key_frame = true;
  const ObjectId object = slicer.open(info, now.mono);
  TAYGA_CHECK(slicer.append(object, bytes, now.mono, now.wall).has_value());
  slicer.finish(object, now.mono, now.wall);
  std::vector<media::SignedSlice> slices;
  while (auto slice = slicer.poll_slice()) slices.push_back(std::move(*slice));
  return slices;
}

Bytes seeded_bytes(std::uint64_t& seed, std::size_t size) {
  Bytes bytes(size);
  for (std::byte& b : bytes) {
    seed ^= seed << 13;  // xorshift64
    seed ^= seed >> 7;
    seed ^= seed << 17;
    b = static_cast<std::byte>(seed >> 32 & 0xff);
  }
  return bytes;
}

}  // namespace tayga::test
