// The traffic of SimNet: control frames and media between the ends of sessions.
#include "common/base/check.hpp"
#include "common/wire/big_endian.hpp"
#include "tests/sim/cheap_proofs.hpp"
#include "tests/sim/sim_net.hpp"

#include <algorithm>

namespace tayga::sim {
namespace {

constexpr unsigned kControl = 0;
constexpr unsigned kMedia = 1;
constexpr std::size_t kFlushBytes = 16 * 1024;  ///< of daemon: media taken for one write
constexpr Duration kUplinkHorizon = 4ms;        ///< what sockets hold of an uplink's time
constexpr std::size_t kControlBytes = 100;      ///< a control frame with its packet
constexpr std::size_t kSliceNameOffset = 52;    ///< track, epoch, sequence: common/media/slice.hpp
constexpr Duration kHopWork = 100us;            ///< a relay's own time for a write

std::uint32_t lane_number(std::uint32_t session, unsigned side, unsigned lane) {
  return session * 4 + side * 2 + lane;
}

Duration time_to_send(std::size_t bytes, std::uint64_t bps) {
  return Duration{static_cast<Duration::rep>(bytes * 8 * 1'000'000 / bps)};
}

}  // namespace

void SimNet::note(NodeIndex from, NodeIndex to, std::uint64_t what) noexcept {
  note(static_cast<std::uint64_t>(now_.time_since_epoch().count()));
  note((std::uint64_t{from} << 32U | to) ^ what << 7U);
}

// --- out

void SimNet::send(NodeIndex from, const NodeId& to, relay::PeerMessage message) {
  const NodeIndex peer = index(to);
  const Turn* turn = find_session(from, peer);
  if (turn == nullptr || !end_of(*turn).open) return;
  unsigned copies = tap_ == nullptr ? 1 : tap_->on_send(from, peer, message);
  if (!wire_.pass(message)) {
    return parts_.observer.on_unreadable({from, peer, turn->session, turn->side}, message);
  }
  for (; copies > 0; --copies) {
    Flight flight;
    flight.bytes = kControlBytes;
    if (auto* const head = std::get_if<relay::Head>(&message)) {
      flight.load = copies > 1 ? *head : std::move(*head);
    } else {
      flight.load = std::make_unique<const relay::PeerMessage>(message);
    }
    launch(*turn, kControl, now_ + nodes_[from]->drag, std::move(flight));
  }
}

void SimNet::offer_media(NodeIndex from, const NodeId& to) {
  const Turn* turn = find_session(from, index(to));
  if (turn == nullptr) return;
  End& end = end_of(*turn);
  if (!end.open || end.queued || end.held_back) return;
  end.queued = true;
  nodes_[from]->turns.push(*turn);
  // At the end of the turn, as the shell does: what one input brought leaves together.
  if (!std::exchange(nodes_[from]->uplink_armed, true)) {
    queue_.push(std::max(now_ + kHopWork, nodes_[from]->uplink_free - kUplinkHorizon),
                Event::Kind::uplink, from);
  }
}

void SimNet::on_uplink(NodeIndex index) {
  Node& node = *nodes_[index];
  if (node.relay != nullptr && node.stopped_until > now_) {
    return queue_.push(node.stopped_until, Event::Kind::uplink, index);
  }
  node.uplink_armed = false;
  if (node.relay != nullptr) serve_uplink(index);
}

void SimNet::serve_uplink(NodeIndex index) {
  Node& node = *nodes_[index];
  while (!node.turns.empty()) {
    const bool is_dead_air = parts_.network.uplink_bps(index, now_) == 0;
    if (is_dead_air || node.uplink_free > now_ + kUplinkHorizon) {
      const TimePoint next = is_dead_air ? parts_.network.next_rate_change(index, now_)
                                         : node.uplink_free - kUplinkHorizon;
      if (!std::exchange(node.uplink_armed, true)) {
        queue_.push(next, Event::Kind::uplink, index);
      }
      return;
    }
    const Turn turn = node.turns.pop();
    if (transmit(index, turn)) {
      node.turns.push(turn);
    } else {
      end_of(turn).queued = false;
    }
  }
}

/// One flush. False: the end has nothing more to give, or may not.
bool SimNet::transmit(NodeIndex index, const Turn& turn) {
  Node& node = *nodes_[index];
  End& end = end_of(turn);
  if (!end.open) return false;
  if (end.in_flight >= sessions_[turn.session]->flight_max) {
    end.held_back = true;
    return false;
  }
  const NodeIndex peer = other_end(turn).node;
  Flight flight;
  bool is_empty = false;
  std::vector<SharedBytes> frames;
  while (flight.bytes < kFlushBytes) {
    auto media = node.relay->next_media(ids_[peer], wall());
    is_empty = !media;
    if (is_empty) break;
    flight.bytes += media->frame->size();
    unsigned copies = tap_ == nullptr ? 1 : tap_->on_send(index, peer, media->frame);
    for (; copies > 1; --copies) frames.push_back(media->frame);
    if (copies > 0) frames.push_back(std::move(media->frame));
  }
  if (flight.bytes == 0) return false;
  flight.load = std::move(frames);
  const Duration time = time_to_send(flight.bytes, parts_.network.uplink_bps(index, now_));
  node.uplink_free = std::max(node.uplink_free, now_) + time;
  node.media_bytes_out += flight.bytes;
  end.in_flight += flight.bytes;
  end.bytes_out += flight.bytes;
  launch(turn, kMedia, node.uplink_free + node.drag, std::move(flight));
  return !is_empty;
}

void SimNet::launch(const Turn& from, unsigned lane_index, TimePoint left, Flight flight) {
  End& end = end_of(from);
  const NodeIndex to = other_end(from).node;
  Lane& lane = end.lanes[lane_index];
  TimePoint arrival = end.path.arrival({left, flight.bytes, held_until(end.node, to)});
  const std::uint64_t downlink_bps = parts_.network.downlink_bps(to);
  if (lane_index == kMedia && downlink_bps != 0) {
    TimePoint& free = nodes_[to]->downlink_free;
    arrival = free = std::max(arrival, free) + time_to_send(flight.bytes, downlink_bps);
  }
  // Flights below the session's promise of order; equal times keep it by their place.
  lane.last_arrival = std::max(lane.last_arrival, arrival);
  flight.at = lane.last_arrival;
  lane.flights.push(std::move(flight));
  if (std::exchange(lane.scheduled, true)) return;
  queue_.push(lane.last_arrival, Event::Kind::lane,
              lane_number(from.session, from.side, lane_index));
}

// --- in

void SimNet::on_lane(std::uint32_t number) {
  const Turn from{number / 4, number / 2 % 2};
  Lane& lane = end_of(from).lanes[number % 2];
  const Node& receiver = *nodes_[other_end(from).node];
  if (receiver.relay != nullptr && receiver.stopped_until > now_) {
    return queue_.push(receiver.stopped_until, Event::Kind::lane, number);
  }
  while (!lane.flights.empty() && lane.flights.front().at <= now_) {
    land(from, lane.flights.pop());
  }
  lane.scheduled = !lane.flights.empty();
  if (lane.scheduled) queue_.push(lane.flights.front().at, Event::Kind::lane, number);
}

void SimNet::land(const Turn& from, Flight flight) {
  End& sender = end_of(from);
  const Turn to{from.session, 1 - from.side};
  End& receiver = end_of(to);
  if (!receiver.open) return answer_stranger(from);
  if (const auto* end = std::get_if<relay::LossReason>(&flight.load)) return tell_down(to, *end);
  if (options_.corruption_ppm > 0 && sender.open && sender.path.corrupts()) {
    tell_down(from, relay::LossReason::reset);
    return tell_down(to, relay::LossReason::reset);
  }
  receiver.bytes_in += flight.bytes;
  if (auto* const head = std::get_if<relay::Head>(&flight.load)) {
    heard_ = std::move(*head);
    return hear(from, heard_);
  }
  if (const auto* message = std::get_if<std::unique_ptr<const relay::PeerMessage>>(&flight.load)) {
    return hear(from, **message);
  }
  sender.in_flight -= std::min(sender.in_flight, flight.bytes);
  deliver_frames(to, std::get<std::vector<SharedBytes>>(flight.load));
  if (sender.held_back && sender.open) {
    sender.held_back = false;
    offer_media(sender.node, ids_[receiver.node]);
  }
}

/// A process that does not know the session says so: a stateless reset, or TCP's.
void SimNet::answer_stranger(const Turn& from) {
  End& sender = end_of(from);
  const End& receiver = other_end(from);
  if (nodes_[receiver.node]->relay == nullptr || !sender.open || sender.is_unknown) return;
  sender.is_unknown = true;
  at(now_ + receiver.path.one_way(), [this, from] { tell_down(from, relay::LossReason::reset); });
}

void SimNet::hear(const Turn& from, const relay::PeerMessage& message) {
  const NodeIndex sender = end_of(from).node;
  const NodeIndex node = other_end(from).node;
  note(sender, node, message.index());
  parts_.observer.on_message({sender, node, from.session, from.side}, message);
  input(node,
        [&](relay::Relay& relay, relay::Now now) { relay.on_message(ids_[sender], message, now); });
}

void SimNet::deliver_frames(const Turn& to, const std::vector<SharedBytes>& frames) {
  for (const SharedBytes& frame : frames) {
    if (!end_of(to).open) return;  // what an earlier one made the relay do
    deliver_frame(to, frame);
  }
}

void SimNet::deliver_frame(const Turn& at, const SharedBytes& frame) {
  const NodeIndex from = other_end(at).node;
  const NodeIndex to = end_of(at).node;
  NetObserver::Delivered seen;
  seen.from = from;
  seen.to = to;
  seen.session = at.session;
  seen.side = 1 - at.side;
  seen.type = frame_type(frame);
  seen.frame = &frame;
  const ByteView payload = frame_payload(frame);
  if (seen.type == wire::FrameType::slice_header) {
    if (payload.size() >= media::kSliceHeaderFixedSize) {
      // Only its name: what it says is compared with what was published.
      wire::Reader name{payload.subspan(kSliceNameOffset)};
      const TrackId track{name.integer<std::uint32_t>()};
      const PublisherEpoch epoch{name.integer<std::uint32_t>()};
      seen.seq = SliceSeq{name.integer<std::uint64_t>()};
      seen.forgotten = parts_.bank.is_forgotten(track, seen.seq);
      seen.slice = parts_.bank.find(track, epoch, seen.seq);
      seen.genuine = seen.slice != nullptr && FrameBank::is_genuine(*seen.slice, 0, frame);
    }
  } else if (const auto chunk = wire::parse_chunk(payload)) {
    seen.seq = chunk->slice_seq;
    seen.index = std::size_t{chunk->index} + 1;
    const auto match = parts_.bank.match_chunk(chunk->track, chunk->slice_seq, seen.index, frame);
    seen.slice = match.slice;
    seen.forgotten = !match.genuine && parts_.bank.is_forgotten(chunk->track, chunk->slice_seq);
    seen.genuine = match.genuine;
  }
  ++frames_;
  note(from, to,
       std::uint64_t{static_cast<std::uint8_t>(seen.type)} << 48U ^ seen.seq.value() << 8U ^
           seen.index);
  parts_.observer.on_frame(seen);
  const Delivering delivering{frame, seen.genuine ? seen.slice : nullptr, seen.index};
  input(to, [&](relay::Relay& relay, relay::Now now) {
    relay.on_media(ids_[from], seen.type, payload, now);
  });
}

}  // namespace tayga::sim
