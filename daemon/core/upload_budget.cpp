#include "daemon/core/upload_budget.hpp"

#include "common/base/check.hpp"

#include <algorithm>
#include <utility>

namespace tayga::relay {
namespace {

constexpr std::int64_t kPpm = 1'000'000;
/// Until it is measured: between TLS over TCP (0.6 %) and QUIC (3 %).
constexpr std::uint32_t kOverheadFirstPpm = 15'000;
/// A session that sends everything twice is not the rule for what it will do next.
constexpr std::uint32_t kOverheadMaxPpm = 500'000;
/// Frames between two measures: fewer say little, for a packet more or less.
constexpr std::uint64_t kMeasureBytes = 32 * 1024;
/// A chunk of 4 KiB with its header, at the socket: what relays send most.
constexpr std::size_t kFrameUsual = 4300;
/// A turn: this much time of the whole rate, in these bounds.
constexpr std::int64_t kTurnsPerSecond = 250;
constexpr std::int64_t kTurnBytesMax = 16 * 1024;

}  // namespace

UploadBudget::UploadBudget(const UploadLimits& limits, std::optional<MonthRecord> stored)
    : limits_{limits},
      month_{limits.reset_day, limits.monthly_bytes, stored},
      frame_max_{kFrameUsual} {
  update_rate(TimePoint{});
}

// --- limits

void UploadBudget::update_rate(TimePoint now) {
  std::uint64_t bps = limits_.rate_bps;
  if (courtesy_ < 1000) {
    const std::uint64_t whole_bps = bps != 0 ? bps : limits_.uplink_bps;
    bps = whole_bps / 1000 * courtesy_;
    if (whole_bps != 0) bps = std::max<std::uint64_t>(bps, 8);  // 0 would be no limit
  }
  pace_.set_rate(bps / 8, now);
}

void UploadBudget::on_clock(LocalTime local, TimePoint now) {
  note_waiting(now);
  if (!local_ || std::chrono::floor<std::chrono::minutes>(local) !=
                     std::chrono::floor<std::chrono::minutes>(*local_)) {
    open_ = limits_.schedule.is_open(local);
  }
  local_ = local;
  month_.on_clock(local, now);
}

void UploadBudget::set_courtesy(unsigned permille, TimePoint now) {
  note_waiting(now);
  courtesy_ = std::min(permille, 1000U);
  update_rate(now);
}

UploadBlock UploadBudget::blocked() const noexcept {
  if (limits_.metered) return UploadBlock::metered;
  if (!open_) return UploadBlock::schedule;
  if (month_.exhausted()) return UploadBlock::quota;
  if (courtesy_ == 0) return UploadBlock::courtesy;
  if (month_.awaits_save()) return UploadBlock::disk;
  return UploadBlock::none;
}

std::optional<LocalTime> UploadBudget::next_change() const noexcept {
  return local_ ? limits_.schedule.next_change(*local_) : std::nullopt;
}

// --- sessions

UploadBudget::Session UploadBudget::open() {
  Session session = 0;
  if (free_.empty()) {
    session = static_cast<Session>(seats_.size());
    seats_.emplace_back();
  } else {
    session = free_.back();
    free_.pop_back();
  }
  Seat& opened = seats_[session];
  opened = Seat{};
  opened.state = State::idle;
  opened.overhead_ppm = kOverheadFirstPpm;
  opened.pace.set_rate(limits_.session_bps / 8, TimePoint{});
  return session;
}

void UploadBudget::close(Session session, TimePoint now) {
  note_waiting(now);
  Seat& closed = seat(session);
  if (closed.state == State::turn) forget_turn(session, closed);
  if (closed.state == State::paced) --paced_;
  std::erase(ring_, session);
  closed.state = State::closed;
  free_.push_back(session);
}

UploadBudget::Seat& UploadBudget::seat(Session session) {
  TAYGA_CHECK(session < seats_.size() && seats_[session].state != State::closed);
  return seats_[session];
}

// --- media

std::int64_t UploadBudget::quantum() const noexcept {
  const auto share = static_cast<std::int64_t>(pace_.bytes_per_s()) / kTurnsPerSecond;
  return std::max(static_cast<std::int64_t>(frame_max_), std::min(share, kTurnBytesMax));
}

std::size_t UploadBudget::room_wanted() const noexcept {
  return frame_max_;
}

bool UploadBudget::admit(Session session, TimePoint now) {
  Seat& asking = seat(session);
  if (asking.state == State::paced) return false;
  if (blocked() != UploadBlock::none) {
    wait(session, asking);
    note_waiting(now);
    return false;
  }
  if (asking.pace.limited() && !asking.pace.has_room(room_wanted(), now)) {
    if (asking.state == State::turn) forget_turn(session, asking);
    std::erase(ring_, session);
    asking.state = State::paced;
    ++paced_;
    note_waiting(now);
    return false;
  }
  if (!pace_.limited()) {
    if (asking.state == State::idle) return true;
    if (asking.state == State::waiting) std::erase(ring_, session);
    if (asking.state == State::turn) leave_turn(session, asking);
    asking.state = State::idle;
    note_waiting(now);
    return true;
  }
  if (pace_.has_room(room_wanted(), now)) {
    if (asking.state == State::turn && asking.turn_bytes > 0) return true;
    // Nobody else waits: no way round through poll_ready().
    if (asking.state != State::waiting && ring_.empty() && promised_ < pace_.credit_bytes(now)) {
      if (asking.state == State::turn) leave_turn(session, asking);
      begin_turn(session, asking, now);
      return true;
    }
  }
  wait(session, asking);
  note_waiting(now);
  return false;
}

void UploadBudget::begin_turn(Session session, Seat& holder, TimePoint now) {
  // What an earlier turn took too much is owed by this one; never more than one frame.
  holder.turn_bytes += holder.turn_bytes > 0 ? 0 : quantum();
  holder.turn_end = now + kTurnMax;
  holder.state = State::turn;
  promised_ += holder.turn_bytes;
  turns_.push_back(session);
}

/// Keeps what is left or owed.
void UploadBudget::leave_turn(Session session, Seat& holder) {
  promised_ -= std::max<std::int64_t>(holder.turn_bytes, 0);
  std::erase(turns_, session);
}

void UploadBudget::forget_turn(Session session, Seat& holder) {
  leave_turn(session, holder);
  // Who has nothing to send saves nothing up.
  holder.turn_bytes = std::min<std::int64_t>(holder.turn_bytes, 0);
}

/// Behind the others, but for one whose turn was cut short: it goes on first.
void UploadBudget::wait(Session session, Seat& waiter) {
  if (waiter.state == State::waiting) return;
  bool first = false;
  if (waiter.state == State::turn) {
    first = waiter.turn_bytes > 0;
    leave_turn(session, waiter);
  }
  waiter.state = State::waiting;
  if (first) {
    ring_.push_front(session);
  } else {
    ring_.push_back(session);
  }
}

void UploadBudget::on_no_media(Session session, TimePoint now) {
  Seat& holder = seat(session);
  if (holder.state != State::turn) return;
  forget_turn(session, holder);
  holder.state = State::idle;
  note_waiting(now);
}

std::int64_t UploadBudget::to_wire(const Seat& sender, std::size_t frame_bytes) const noexcept {
  const auto bytes = static_cast<std::int64_t>(frame_bytes);
  return bytes + bytes * sender.overhead_ppm / kPpm;
}

void UploadBudget::charge(Seat& sender, std::int64_t bytes, TimePoint now) {
  sender.charged_bytes += bytes;
  sender.pace.on_sent(bytes, now);
  pace_.on_sent(bytes, now);
  month_.on_sent(bytes);
}

void UploadBudget::on_media(Session session, std::size_t frame_bytes, TimePoint now) {
  Seat& sender = seat(session);
  const std::int64_t bytes = to_wire(sender, frame_bytes);
  sender.handed_bytes += frame_bytes;
  counters_.media_bytes += static_cast<std::uint64_t>(bytes);
  frame_max_ = std::max(frame_max_, static_cast<std::size_t>(bytes));
  charge(sender, bytes, now);
  if (sender.state != State::turn) return;
  const std::int64_t left = sender.turn_bytes - bytes;
  promised_ -= std::max<std::int64_t>(sender.turn_bytes, 0) - std::max<std::int64_t>(left, 0);
  sender.turn_bytes = left;
}

void UploadBudget::on_control(Session session, std::size_t frame_bytes, TimePoint now) {
  Seat& sender = seat(session);
  const std::int64_t bytes = to_wire(sender, frame_bytes);
  sender.handed_bytes += frame_bytes;
  counters_.control_bytes += static_cast<std::uint64_t>(bytes);
  charge(sender, bytes, now);
}

void UploadBudget::on_wire(Session session, const Wire& wire, TimePoint now) {
  Seat& sender = seat(session);
  if (wire.frame_bytes_out == 0 || wire.frame_bytes_out > sender.handed_bytes) return;
  measure(sender, wire);
  const auto in_hand = static_cast<std::size_t>(sender.handed_bytes - wire.frame_bytes_out);
  const std::int64_t expected =
      static_cast<std::int64_t>(wire.bytes_out) + to_wire(sender, in_hand);
  charge(sender, expected - sender.charged_bytes, now);
}

void UploadBudget::measure(Seat& sender, const Wire& wire) {
  const std::uint64_t frames = wire.frame_bytes_out - sender.measured.frame_bytes_out;
  if (frames < kMeasureBytes) return;
  const std::uint64_t sent = wire.bytes_out - sender.measured.bytes_out;
  const std::uint64_t over = sent - std::min(sent, frames);
  const auto ppm = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(over * static_cast<std::uint64_t>(kPpm) / frames, kOverheadMaxPpm));
  // The first measure holds the handshake: it is charged, but says nothing of what comes.
  if (sender.measured.frame_bytes_out != 0)
    sender.overhead_ppm = (3 * sender.overhead_ppm + ppm) / 4;
  sender.measured = wire;
}

// --- turns

std::optional<UploadBudget::Session> UploadBudget::poll_ready(TimePoint now) {
  expire_turns(now);
  if (blocked() != UploadBlock::none) return std::nullopt;
  start_paced(now);
  if (ring_.empty()) return std::nullopt;
  if (pace_.limited()) {
    if (!pace_.has_room(room_wanted(), now)) return std::nullopt;
    if (promised_ > 0 && promised_ >= pace_.credit_bytes(now)) return std::nullopt;
  }
  const Session session = ring_.front();
  ring_.pop_front();
  begin_turn(session, seat(session), now);
  note_waiting(now);
  return session;
}

/// Sessions that cannot take what they may (a full socket) do not hold up the others; they ask
/// again by themselves when they can.
void UploadBudget::expire_turns(TimePoint now) {
  for (std::size_t i = turns_.size(); i > 0; --i) {
    const Session session = turns_[i - 1];
    Seat& holder = seats_[session];
    if (holder.turn_end > now) continue;
    forget_turn(session, holder);
    holder.state = State::idle;
  }
}

void UploadBudget::start_paced(TimePoint now) {
  if (paced_ == 0) return;
  for (Session session = 0; session < seats_.size(); ++session) {
    Seat& held = seats_[session];
    if (held.state != State::paced || !held.pace.has_room(room_wanted(), now)) continue;
    held.state = State::waiting;
    --paced_;
    ring_.push_back(session);
  }
}

std::optional<TimePoint> UploadBudget::next_timeout(TimePoint now) {
  std::optional<TimePoint> next;
  const auto consider = [&](TimePoint at) { next = next ? std::min(*next, at) : at; };
  if (blocked() != UploadBlock::none) return next;
  if (paced_ > 0) {
    for (Seat& held : seats_) {
      if (held.state == State::paced) consider(held.pace.room_at(room_wanted(), now));
    }
  }
  if (ring_.empty()) return next;
  for (const Session session : turns_) consider(seats_[session].turn_end);
  const bool all_promised =
      pace_.limited() && promised_ > 0 && promised_ >= pace_.credit_bytes(now);
  if (!all_promised || turns_.empty()) consider(pace_.room_at(room_wanted(), now));
  return next;
}

// --- what is told

void UploadBudget::note_waiting(TimePoint now) noexcept {
  const bool waits = waiting() > 0;
  if (waiting_since_) {
    counters_.blocked += std::max(now - *waiting_since_, Duration::zero());
    waiting_since_.reset();
  }
  if (waits) waiting_since_ = now;
}

UploadBudget::Counters UploadBudget::counters(TimePoint now) const noexcept {
  Counters counters = counters_;
  if (waiting_since_) counters.blocked += std::max(now - *waiting_since_, Duration::zero());
  return counters;
}

}  // namespace tayga::relay
