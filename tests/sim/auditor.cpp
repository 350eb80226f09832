#include "tests/sim/auditor.hpp"

#include "common/wire/receipt.hpp"
#include "tests/sim/live_source.hpp"

#include <algorithm>

namespace tayga::sim {
namespace {

constexpr Duration kLook = 500ms;
constexpr unsigned kLooksInLoopMax = 3;  ///< more: it lasts longer than a second
constexpr std::size_t kRememberedSlices = 4096;
constexpr std::uint64_t kRangeMax = 256;  ///< slices of one fetched range
constexpr std::size_t kViolationsMax = 16;

std::string words(NodeIndex from, NodeIndex to, std::uint64_t seq, std::size_t index) {
  return "node " + std::to_string(from) + " to " + std::to_string(to) + ", slice " +
         std::to_string(seq) + " frame " + std::to_string(index);
}

}  // namespace

Auditor::Auditor(const SimOptions& options, SimNet& net, const FrameBank& bank,
                 const StreamId& stream)
    : options_{options}, net_{net}, bank_{bank}, stream_{stream} {}

void Auditor::start() {
  net_.at(net_.now() + kLook, [this] { look(); });
}

void Auditor::require(bool holds, const char* rule, const std::string& detail) {
  if (holds || violations_.size() >= kViolationsMax) return;
  for (const Violation& known : violations_) {
    if (known.rule == rule) return;
  }
  violations_.push_back({net_.now(), rule, detail});
}

void Auditor::on_frame(const NetObserver::Delivered& frame) {
  // Of what is older than the publisher's memory the relays' own proof stands alone.
  if (!frame.genuine && !frame.forgotten) {
    require(liars_.contains(frame.from), "no unverified frame is forwarded",
            words(frame.from, frame.to, frame.seq.value(), frame.index));
    return;
  }
  Sender& from = sender(frame.session, frame.side);
  if (frame.index > 0) {
    if (from.payload_bytes == nullptr) {
      from.payload_bytes = &delivered_bytes_[{frame.from, frame.to}];
    }
    *from.payload_bytes += (*frame.frame)->size() - wire::kFrameHeaderSize - wire::kChunkHeaderSize;
  }
  if (!frame.genuine) return;
  const media::SliceHeader& header = frame.slice->header;
  note_sent(frame, from.tracks[header.track == kPresentationTrack ? 0 : 1]);
}

Auditor::Sender& Auditor::sender(std::uint32_t session, unsigned side) {
  while (senders_.size() <= session) senders_.emplace_back();
  return senders_[session][side];
}

void Auditor::note_sent(const NetObserver::Delivered& frame, SentFrames& sent) {
  const std::uint64_t seq = frame.seq.value();
  const PublisherEpoch epoch = frame.slice->header.epoch;
  if (epoch < sent.epoch) return;  // the rest of what is over
  if (sent.epoch < epoch) {
    const FrameBank::Next asked_below = sent.asked_below;
    if (sent.epoch != PublisherEpoch{}) sent = SentFrames{};
    sent.epoch = epoch;
    if (asked_below.epoch == epoch) sent.asked_below = asked_below;
  }
  if (sent.masks.empty()) sent.first = seq;
  if (seq < sent.first) {
    // Further back than what is remembered: nothing is known of it.
    if (sent.first - seq > kRememberedSlices) return;
    sent.masks.insert(sent.masks.begin(), sent.first - seq, 0);
    sent.first = seq;
  }
  if (seq - sent.first >= 4 * kRememberedSlices) {
    sent.masks.clear();
    sent.first = seq;
  }
  if (seq - sent.first >= sent.masks.size()) sent.masks.resize(seq - sent.first + 1, 0);
  std::uint32_t& mask = sent.masks[seq - sent.first];
  const std::uint32_t bit = std::uint32_t{1} << frame.index;
  // An answer crosses what was under way when it was asked for: asking counts from then on.
  const FrameBank::Next& below = sent.asked_below;
  const bool is_asked =
      epoch < below.epoch || (epoch == below.epoch && seq < below.seq) || sent.asked.contains(seq);
  if ((mask & bit) != 0 && !is_asked) {
    require(false, "no frame is sent twice to a child that did not ask again",
            words(frame.from, frame.to, seq, frame.index));
  }
  mask |= bit;
  while (sent.masks.size() > kRememberedSlices) {
    sent.masks.pop_front();
    sent.asked.erase(sent.first++);
  }
}

/// What the receiver of a message sends to its sender.
Auditor::SentFrames& Auditor::sent_to(const NetObserver::Said& said, TrackId track) {
  return sender(said.session, 1 - said.side).tracks[track == kPresentationTrack ? 0 : 1];
}

void Auditor::on_message(const NetObserver::Said& said, const relay::PeerMessage& message) {
  if (const auto* fetch = std::get_if<relay::Fetch>(&message)) {
    SentFrames& sent = sent_to(said, fetch->track);
    for (const relay::SeqRange& range : fetch->ranges) {
      const std::uint64_t last = std::min(range.last.value(), range.first.value() + kRangeMax);
      for (std::uint64_t seq = range.first.value(); seq <= last; ++seq) sent.asked.insert(seq);
    }
  } else if (const auto* subscribe = std::get_if<relay::Subscribe>(&message)) {
    SentFrames& sent = sent_to(said, subscribe->track);
    // What was sent before it came may be under way still, and is asked for once more.
    sent.asked_below = bank_.next(subscribe->track);
  } else if (const auto* receipt = std::get_if<relay::PeerReceipt>(&message)) {
    note_receipt(said, *receipt);
  }
}

void Auditor::note_receipt(const NetObserver::Said& said, const relay::PeerReceipt& receipt) {
  const auto parsed = wire::parse_receipt(receipt.blob);
  require(parsed.has_value(), "receipts are well-formed", words(said.from, said.to, 0, 0));
  if (!parsed) return;
  const auto delivered = delivered_bytes_.find({said.to, said.from});
  const std::uint64_t bytes = delivered == delivered_bytes_.end() ? 0 : delivered->second;
  require(parsed->cum_bytes <= bytes, "receipts never exceed what was delivered",
          words(said.from, said.to, parsed->cum_bytes, bytes));
  Signed& newest = signed_[said.to][parsed->allocation];
  newest.in_time = std::max(newest.in_time, parsed->cum_bytes);
  newest.late = std::max(newest.late, parsed->cum_late_bytes);
}

void Auditor::on_unreadable(const NetObserver::Said& said, const relay::PeerMessage& message) {
  require(false, "peers can read what is said", words(said.from, said.to, message.index(), 0));
}

void Auditor::on_ended(NodeIndex node) {
  ended_.insert(node);
  played_.erase(node);
}

std::uint64_t Auditor::signed_bytes(NodeIndex sender) const {
  std::uint64_t sum = 0;
  const auto found = signed_.find(sender);
  if (found == signed_.end()) return sum;
  for (const auto& [allocation, bytes] : found->second) sum += bytes.in_time;
  return sum;
}

std::uint64_t Auditor::signed_bytes() const {
  std::uint64_t sum = 0;
  for (const auto& [sender, receipts] : signed_) {
    for (const auto& [allocation, bytes] : receipts) sum += bytes.in_time + bytes.late;
  }
  return sum;
}

void Auditor::on_action(NodeIndex node, const relay::Relay::Action& action) {
  const auto* tampered = std::get_if<relay::Relay::Tampered>(&action);
  if (tampered == nullptr) return;
  ++tampered_;
  const NodeIndex accused = net_.index(tampered->sender);
  require(liars_.contains(accused), "nobody honest is accused of tampering",
          words(accused, node, 0, 0));
}

void Auditor::look() {
  net_.at(net_.now() + kLook, [this] { look(); });
  check_queues();
  check_order();
  check_loops();
}

/// Players are told of objects in their order: nothing that was released is taken back, and none is
/// passed that is not whole before its window is over.
void Auditor::check_order() {
  const relay::Now now = at(net_.now());
  for (NodeIndex node = 0; node < net_.size(); ++node) {
    if (!net_.is_running(node) || net_.is_stopped(node)) continue;
    const relay::Playout* playout = net_.relay(node).playout(stream_, kSimTrack);
    const relay::ObjectStore* store = net_.relay(node).objects(stream_, kSimTrack);
    if (playout == nullptr || store == nullptr) continue;
    const auto known = played_.find(node);
    std::optional<Played> past;
    if (known != played_.end()) past = known->second;
    const std::string name = "node " + std::to_string(node);
    require(!past || playout->is_released(*past), "what plays is in order", name);
    store->for_each_after(past, [&](const relay::ObjectInfo& object) {
      const Played key{object.epoch, object.id};
      if (!playout->is_released(key)) return false;
      // Its begin; of what comes later than a window after it nothing is waited for.
      const WallTime begun = object.publisher_time - options_.segment;
      const bool is_over = now.wall >= begun + options_.window;
      // At a join playing begins with the first whole object: before it there may be gaps.
      const bool is_joining = known == played_.end();
      require(is_joining || object.complete() || is_over, "what plays is in order", name);
      past = key;
      return true;
    });
    if (past) played_[node] = *past;
  }
}

void Auditor::check_queues() {
  for (NodeIndex node = 0; node < net_.size(); ++node) {
    if (!net_.is_running(node) || net_.is_stopped(node)) continue;
    for (const relay::ChildStatus& child : net_.relay(node).children(net_.now())) {
      require(child.queued_bytes <= limits_.child_queue_bytes, "a child's queue keeps its bound",
              "node " + std::to_string(node) + ": " + std::to_string(child.queued_bytes) + " B");
    }
  }
}

void Auditor::check_loops() {
  std::vector<std::vector<NodeIndex>> parents(options_.stripes,
                                              std::vector<NodeIndex>(net_.size()));
  for (NodeIndex node = 0; node < net_.size(); ++node) {
    for (auto& of_stripe : parents) of_stripe[node] = node;  // a root, or nobody
    // Who is cut off from every source starves in a loop or without one; it counts from then on.
    if (!net_.is_running(node) || !net_.reaches_source(node)) continue;
    for (const relay::StripeStatus& status : net_.relay(node).stripes()) {
      if (status.track != kSimTrack || !status.parent || !status.subscribed) continue;
      parents[status.stripe.value()][node] = net_.index(*status.parent);
    }
  }
  Loops found;
  for (unsigned stripe = 0; stripe < options_.stripes; ++stripe) {
    find_loops(stripe, parents[stripe], found);
  }
  loops_ = std::move(found);
}

void Auditor::find_loops(unsigned stripe, const std::vector<NodeIndex>& parents, Loops& found) {
  const auto unmarked = static_cast<NodeIndex>(parents.size());
  std::vector<NodeIndex> mark(parents.size(), unmarked);
  for (NodeIndex node = 0; node < parents.size(); ++node) {
    // Each walk marks what it meets; who meets its own mark again has closed a loop.
    NodeIndex at = node;
    while (mark[at] == unmarked && parents[at] != at) {
      mark[at] = node;
      at = parents[at];
    }
    if (mark[at] != node || parents[at] == at) continue;
    NodeIndex lowest = at;
    for (NodeIndex next = parents[at]; next != at; next = parents[next]) {
      lowest = std::min(lowest, next);
    }
    const auto before = loops_.find({stripe, lowest});
    const unsigned looks = before == loops_.end() ? 1 : before->second + 1;
    found[{stripe, lowest}] = looks;
    require(looks <= kLooksInLoopMax, "no loop of parents lasts longer than a second",
            "node " + std::to_string(lowest) + ", stripe " + std::to_string(stripe));
  }
}

}  // namespace tayga::sim
