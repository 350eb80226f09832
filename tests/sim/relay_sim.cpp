// One publisher, relays and viewers over links with delay, jitter and resets. Every run is its
// seed: TAYGA_SIM_SEED=<n> runs that one alone.
#include "tests/sim/relay_net.hpp"
#include "tests/support/catch.hpp"

#include <cstdlib>
#include <map>
#include <set>
#include <string>

using namespace tayga;
using namespace tayga::sim;
using Node = RelayNet::Node;

namespace {

constexpr TrackId kTrack{1};
constexpr Duration kFragment = 40ms;
constexpr unsigned kFragmentsPerSegment = 25;

struct Setup {
  unsigned stripe_count = 1;
  unsigned relays = 3;
  unsigned viewers = 6;
  Duration duration = 20s;
  bool resets = false;
  bool tampers = false;  ///< the last relay flips a bit in 5 % of its chunks
};

/// Stands for the orchestrator: gives everybody parents, and another one when a parent was lost.
class Brain {
 public:
  Brain(RelayNet& net, const RelayWorld& world, const Setup& setup)
      : net_{net}, world_{world}, setup_{setup} {}

  /// `first` = the parent of every stripe at the start; nullptr: by lot.
  void assign(Node& node, const std::vector<Node*>& candidates, Node* first = nullptr) {
    Target& target = targets_[node.id];
    target.node = &node;
    target.candidates = candidates;
    for (unsigned i = 0; i < setup_.stripe_count; ++i) {
      Node* drawn = candidates[net_.random(candidates.size())];
      target.parents.push_back(first != nullptr ? first : drawn);
    }
    push(target);
  }
  /// Moves who lost a parent; called after every event, acts a control round trip later.
  void watch() {
    for (auto& [id, target] : targets_) {
      while (target.seen < target.node->lost.size())
        react(target, target.node->lost[target.seen++]);
    }
  }

 private:
  struct Target {
    Node* node = nullptr;
    std::vector<Node*> candidates;
    std::vector<Node*> parents;  // by stripe
    std::set<NodeId> banned;
    std::uint64_t revision = 0;
    std::size_t seen = 0;
  };

  void react(Target& target, const relay::Relay::ParentLost& lost) {
    if (lost.reason == relay::LossReason::tampered) target.banned.insert(lost.parent);
    for (Node*& parent : target.parents) {
      if (parent->id != lost.parent) continue;
      for (int tries = 0; tries < 20; ++tries) {
        parent = target.candidates[net_.random(target.candidates.size())];
        if (!target.banned.contains(parent->id)) break;
      }
    }
    net_.schedule(net_.now() + 50ms, [this, &target] { push(target); });
  }

  void push(Target& target) {
    relay::Assignment assignment;
    assignment.incarnation = 1;
    assignment.revision = ++target.revision;
    assignment.stream = world_.descriptor(setup_.stripe_count);
    std::set<NodeId> used;
    for (unsigned i = 0; i < setup_.stripe_count; ++i) {
      const NodeId parent = target.parents[i]->id;
      assignment.upstream.push_back({kTrack, StripeIndex{static_cast<std::uint8_t>(i)}, parent,
                                     relay::UpstreamRole::primary});
      if (used.insert(parent).second) {
        assignment.allocations.push_back(world_.allocate(parent, target.node->id));
      }
    }
    net_.input(*target.node,
               [&](relay::Relay& relay, relay::Now now) { relay.on_assignment(assignment, now); });
  }

  RelayNet& net_;
  const RelayWorld& world_;
  const Setup& setup_;
  std::map<NodeId, Target> targets_;
};

/// A live encoder: 25 fragments a second, a segment and a playlist version each second.
class LiveSource {
 public:
  LiveSource(RelayNet& net, Node& gateway, const RelayWorld& world)
      : net_{net}, gateway_{gateway}, slicer_{world.stream_key(), kTrack, PublisherEpoch{1000}} {}

  void start(TimePoint end) {
    end_ = end;
    publish("init.mp4", media::ObjectKind::init, 900);
    step();
  }
  [[nodiscard]] const std::map<std::string, std::size_t>& segments() const { return segments_; }
  [[nodiscard]] const std::map<std::uint64_t, media::SliceHeader>& headers() const {
    return headers_;
  }

 private:
  void step() {
    const auto now = at(net_.now());
    if (!open_) {
      path_ = segment_path(number_);
      open_ = slicer_.open({path_, media::ObjectKind::segment, true}, now.mono);
      size_ = 60'000 + net_.random(200'000);
      content_ = content_of(path_, size_);
      fragment_ = 0;
    }
    const std::size_t begin = size_ * fragment_ / kFragmentsPerSegment;
    const std::size_t end = size_ * (fragment_ + 1) / kFragmentsPerSegment;
    const ByteView part = ByteView{content_}.subspan(begin, end - begin);
    if (slicer_.append(*open_, part, now.mono, now.wall).has_error()) std::abort();
    slicer_.on_timeout(now.mono, now.wall);
    if (++fragment_ == kFragmentsPerSegment) {
      slicer_.finish(*open_, now.mono, now.wall);
      open_.reset();
      segments_[path_] = size_;
      publish("index.m3u8", media::ObjectKind::playlist, 300 + number_ % 50);
      ++number_;
    }
    flush();
    if (net_.now() < end_ || open_) net_.schedule(net_.now() + kFragment, [this] { step(); });
  }
  void publish(const std::string& path, media::ObjectKind kind, std::size_t size) {
    const auto now = at(net_.now());
    const ObjectId id = slicer_.open({path, kind, false}, now.mono);
    if (slicer_.append(id, content_of(path, size), now.mono, now.wall).has_error()) std::abort();
    slicer_.finish(id, now.mono, now.wall);
    flush();
  }
  void flush() {
    while (auto slice = slicer_.poll_slice()) {
      headers_[slice->header.seq.value()] = slice->header;
      net_.input(gateway_, [&](relay::Relay& relay, relay::Now now) {
        relay.on_published(std::move(*slice), now);
      });
    }
  }

  RelayNet& net_;
  Node& gateway_;
  media::Slicer slicer_;
  TimePoint end_{};
  std::optional<ObjectId> open_;
  std::string path_;
  Bytes content_;
  std::size_t size_ = 0;
  unsigned fragment_ = 0;
  unsigned number_ = 1;
  std::map<std::string, std::size_t> segments_;
  std::map<std::uint64_t, media::SliceHeader> headers_;
};

/// What must hold of every frame that a relay sends.
class Auditor {
 public:
  Auditor(RelayNet& net, const LiveSource& source, const Setup& setup)
      : net_{net}, source_{source}, setup_{setup} {}

  void on_frame(const Node& from, const Node& to, wire::FrameType type, ByteView payload) {
    Session& session = sessions_[net_.session(from, to)][from.id];
    if (type == wire::FrameType::slice_header) {
      const auto header = media::parse_slice_header(payload);
      require(header && media::verify_slice_header(payload, header->stream), "a signed header");
      const std::uint64_t seq = header->seq.value();
      require(session.headers.insert(seq).second || was_asked(from, to, seq), "no header twice");
      const auto lane = std::pair{seq % setup_.stripe_count, header->priority};
      std::uint64_t& newest = session.newest[lane];
      // Repair and a new parent's start step back; without them a stripe is in order.
      require(setup_.resets || setup_.tampers || seq >= newest || was_asked(from, to, seq),
              "a stripe in order");
      newest = std::max(newest, seq);
      return;
    }
    const auto chunk = wire::parse_chunk(payload);
    require(chunk.has_value(), "a well-formed chunk");
    const std::uint64_t seq = chunk->slice_seq.value();
    require(session.headers.contains(seq), "the header before its chunks");
    const auto header = source_.headers().find(seq);
    require(header != source_.headers().end() &&
                media::verify_chunk(header->second, chunk->index, chunk->bytes),
            "no unverified chunk");
    require(session.chunks.insert({seq, chunk->index}).second || was_asked(from, to, seq),
            "no chunk twice");
  }
  [[nodiscard]] const std::set<std::string>& broken() const { return broken_; }

 private:
  struct Session {
    std::set<std::uint64_t> headers;
    std::set<std::pair<std::uint64_t, std::uint16_t>> chunks;
    std::map<std::pair<std::uint64_t, media::Priority>, std::uint64_t> newest;
  };
  /// The receiver asked again: by a fetch, or by leaving the stripe and coming back.
  static bool was_asked(const Node& from, const Node& to, std::uint64_t seq) {
    for (const auto& [peer, message] : from.received) {
      if (peer != to.id) continue;
      if (std::holds_alternative<relay::Unsubscribe>(message)) return true;
      const auto* fetch = std::get_if<relay::Fetch>(&message);
      if (fetch == nullptr) continue;
      for (const auto& range : fetch->ranges) {
        if (range.first.value() <= seq && seq <= range.last.value()) return true;
      }
    }
    return false;
  }
  void require(bool holds, const char* rule) {
    if (!holds) broken_.insert(rule);
  }

  RelayNet& net_;
  const LiveSource& source_;
  const Setup& setup_;
  std::map<std::uint64_t, std::map<NodeId, Session>> sessions_;
  std::set<std::string> broken_;
};

void check_viewer(Node& viewer, const RelayWorld& world, const LiveSource& source) {
  const auto* store = viewer.relay->objects(world.stream(), kTrack);
  REQUIRE(store != nullptr);
  std::size_t complete = 0;
  for (const auto& [path, size] : source.segments()) {
    const auto object = store->find(path);
    if (!object) continue;  // published before this viewer joined, or out of the window
    CHECK(object->complete());
    CHECK(read_all(*store, *object) == content_of(path, size));
    ++complete;
  }
  CHECK(complete >= 10);
  CHECK(viewer.relay->streams().at(0).objects_lost == 0);
}

void run(std::uint64_t seed, const Setup& setup) {
  INFO("replay: TAYGA_SIM_SEED=" << seed << " build/dev/bin/relay_sim");
  RelayWorld world;
  RelayNet net{seed};
  const relay::RelayLimits limits;
  Node& gateway = net.add(1, world, limits);
  std::vector<Node*> relays;
  std::vector<Node*> viewers;
  for (unsigned i = 0; i < setup.relays; ++i) relays.push_back(&net.add(10 + i, world, limits));
  for (unsigned i = 0; i < setup.viewers; ++i) viewers.push_back(&net.add(100 + i, world, limits));
  const auto path = [&] {
    return RelayNet::Path{Duration{static_cast<Duration::rep>(1000 + net.random(40'000))},
                          Duration{static_cast<Duration::rep>(1 + net.random(30'000))}, 0};
  };
  for (Node* relay : relays) net.set_path(gateway, *relay, path());
  for (Node* viewer : viewers) {
    for (Node* relay : relays) net.set_path(*relay, *viewer, path());
  }

  LiveSource source{net, gateway, world};
  Auditor auditor{net, source, setup};
  Brain brain{net, world, setup};
  std::uint64_t flipped = 0;
  net.set_tap([&](Node& from, Node& to, wire::FrameType type, Bytes& payload) {
    auditor.on_frame(from, to, type, payload);
    if (setup.tampers && &from == relays.back() && type == wire::FrameType::chunk &&
        net.random(20) == 0) {
      payload.back() ^= std::byte{1};
      ++flipped;
    }
    return true;
  });
  std::size_t queued_most = 0;
  net.set_check([&] {
    brain.watch();
    for (const Node* node : relays) {
      for (const auto& child : node->relay->children(net.now())) {
        queued_most = std::max(queued_most, child.queued_bytes);
      }
    }
  });

  net.input(gateway, [&](relay::Relay& relay, relay::Now now) {
    relay.on_publish_started(world.descriptor(setup.stripe_count), now);
  });
  source.start(kStart + setup.duration);
  for (Node* relay : relays) brain.assign(*relay, {&gateway});
  for (Node* viewer : viewers) {
    const Duration join{static_cast<Duration::rep>(net.random(5'000'000))};
    net.schedule(kStart + join, [&, viewer] {
      net.input(*viewer, [&](relay::Relay& relay, relay::Now now) {
        relay.on_local_demand(world.stream(), {kTrack}, now);
      });
      const bool is_victim = setup.tampers && viewer == viewers.front();
      brain.assign(*viewer, relays, is_victim ? relays.back() : nullptr);
    });
  }
  for (int i = 0; setup.resets && i < 12; ++i) {
    const Duration when{static_cast<Duration::rep>(6'000'000 + net.random(12'000'000))};
    net.schedule(kStart + when, [&] {
      Node& relay = *relays[net.random(relays.size())];
      Node& other = net.random(4) == 0 ? gateway : *viewers[net.random(viewers.size())];
      net.reset(relay, other);
    });
  }
  net.run_until(kStart + setup.duration + 6s);

  CHECK(auditor.broken() == std::set<std::string>{});
  CHECK(queued_most <= limits.child_queue_bytes);
  for (Node* viewer : viewers) check_viewer(*viewer, world, source);
  std::size_t accused = 0;
  for (Node* viewer : viewers) {
    for (const auto& evidence : viewer->tampered) CHECK(evidence.sender == relays.back()->id);
    accused += viewer->tampered.size();
  }
  CHECK(accused == (setup.tampers ? flipped : 0));
  if (!setup.tampers) return;
  CHECK(flipped > 0);
  CHECK(relays.back()->relay->children(net.now()).empty());
}

std::vector<std::uint64_t> seeds() {
  if (const char* chosen = std::getenv("TAYGA_SIM_SEED")) {
    return {std::strtoull(chosen, nullptr, 10)};
  }
  return {1, 2, 3};
}

}  // namespace

TEST_CASE("in a calm network every viewer has every object, in order, once") {
  for (const auto seed : seeds()) {
    run(seed, Setup{.stripe_count = 1});
    run(seed, Setup{.stripe_count = 4});
  }
}

TEST_CASE("connections that break cost no object") {
  for (const auto seed : seeds()) {
    run(seed, Setup{.stripe_count = 1, .resets = true});
    run(seed, Setup{.stripe_count = 4, .resets = true});
  }
}

TEST_CASE(
    "a relay that flips bits is left by all its children, and no bad byte is passed on or played") {
  for (const auto seed : seeds()) {
    run(seed, Setup{.stripe_count = 1, .tampers = true});
    run(seed, Setup{.stripe_count = 4, .tampers = true});
  }
}
