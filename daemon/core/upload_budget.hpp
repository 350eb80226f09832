#pragma once

#include "common/base/time.hpp"
#include "daemon/core/send_pace.hpp"
#include "daemon/core/upload_month.hpp"
#include "daemon/core/upload_schedule.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace tayga::relay {

/// What the owner lends. 0 = no limit, where it is a number.
struct UploadLimits {
  std::uint64_t rate_bps = 0;     ///< of all sessions together, at the socket
  std::uint64_t session_bps = 0;  ///< of each
  /// What courtesy is a share of where there is no cap.
  std::uint64_t uplink_bps = 0;
  std::uint64_t monthly_bytes = 0;
  unsigned reset_day = 1;  ///< 1-31; in a shorter month its last day
  UploadSchedule schedule;
  bool metered = false;  ///< the network is paid by the byte: no media for others
};

/// What of a line, or of the cap on it, is declared as room for media: framing, encryption, control
/// frames and repair take from the rest, and a line that is planned full never empties a queue.
constexpr std::uint64_t declared_uplink_bps(std::uint64_t line_bps) noexcept {
  return line_bps - line_bps / 10;
}

/// Why no media may leave at all, whatever the rate.
enum class UploadBlock : std::uint8_t {
  none,
  metered,
  schedule,  ///< closed at this time
  quota,     ///< the month's is used up
  disk,      ///< the month's count could not be written: the quota could be broken by a crash
  courtesy,  ///< the household needs all of it
};

/// The one scheduler that everything sent to peers passes.
///
/// A session asks with admit() before it takes a frame of media, and says what it took with
/// on_media(). Who is refused waits its turn: poll_ready() names those who may ask again. Turns go
/// round (deficit round robin over the bytes at the socket), a few frames at a time, so nobody
/// starves and nobody's order of urgency is touched. Control frames always pass and are charged.
///
/// Bytes are those at the socket: each session's media is charged with the overhead that was
/// measured on it, and on_wire() settles the difference, such as what was sent again. In every
/// second the sum is within one percent of the cap while there is demand (or three frames below it,
/// where these are more than that), as far as the machine wakes us in time; see SendPace. Sans-IO,
/// one owner, not thread-safe.
class UploadBudget {
 public:
  /// Of an open session; given again to another one after close().
  using Session = std::uint32_t;
  /// A turn that is not taken by then (its session has no room itself) is over.
  static constexpr Duration kTurnMax = 25ms;

  struct Counters {
    std::uint64_t media_bytes = 0;    ///< granted, at the socket
    std::uint64_t control_bytes = 0;  ///< passed
    Duration blocked{0};              ///< while at least one session waited
  };
  struct Wire {
    std::uint64_t bytes_out = 0;        ///< of the session, at the socket, since its start
    std::uint64_t frame_bytes_out = 0;  ///< of the frames that are in them; 0 = not known
  };

  UploadBudget(const UploadLimits& limits, std::optional<MonthRecord> stored);

  /// The clock on the wall: before anything else, then at least once a second.
  void on_clock(LocalTime local, TimePoint now);
  /// Which share of the cap may be used, in thousandths; 0 = none. Without a cap and a known uplink
  /// only 0 has an effect.
  void set_courtesy(unsigned permille, TimePoint now);

  Session open();
  void close(Session session, TimePoint now);

  /// Whether the session may take one frame of media now. False: it waits, poll_ready() names it.
  [[nodiscard]] bool admit(Session session, TimePoint now);
  /// The frame that admit() allowed.
  void on_media(Session session, std::size_t frame_bytes, TimePoint now);
  /// admit() allowed, but there was nothing to send: its turn is over.
  void on_no_media(Session session, TimePoint now);
  void on_control(Session session, std::size_t frame_bytes, TimePoint now);
  /// What really left, from time to time.
  void on_wire(Session session, const Wire& wire, TimePoint now);

  /// A session that waited and may ask again. Call until it returns nullopt.
  [[nodiscard]] std::optional<Session> poll_ready(TimePoint now);
  /// When poll_ready() could name somebody; nullopt = no passing of time brings that about, but
  /// on_clock(), on_saved() or set_courtesy() may.
  [[nodiscard]] std::optional<TimePoint> next_timeout(TimePoint now);

  [[nodiscard]] UploadBlock blocked() const noexcept;
  [[nodiscard]] std::size_t waiting() const noexcept { return ring_.size() + paced_; }
  [[nodiscard]] Counters counters(TimePoint now) const noexcept;
  [[nodiscard]] const UploadLimits& limits() const noexcept { return limits_; }
  [[nodiscard]] unsigned courtesy_permille() const noexcept { return courtesy_; }
  /// In force: the cap and courtesy's share of it; 0 = none.
  [[nodiscard]] std::uint64_t rate_bps() const noexcept { return pace_.bytes_per_s() * 8; }
  /// When the schedule changes; nullopt = never.
  [[nodiscard]] std::optional<LocalTime> next_change() const noexcept;
  [[nodiscard]] UploadMonth& month() noexcept { return month_; }
  [[nodiscard]] const UploadMonth& month() const noexcept { return month_; }

 private:
  enum class State : std::uint8_t { closed, idle, waiting, turn, paced };
  struct Seat {
    State state = State::closed;
    std::uint32_t overhead_ppm = 0;  // at the socket, of its frames
    std::int64_t turn_bytes = 0;     // left of its turn; negative: owed from the last one
    TimePoint turn_end{};
    SendPace pace;                   // its own cap
    std::uint64_t handed_bytes = 0;  // frames
    std::int64_t charged_bytes = 0;  // for them, at the socket
    Wire measured;                   // where the last measure of overhead began
  };

  Seat& seat(Session session);
  void update_rate(TimePoint now);
  [[nodiscard]] std::size_t room_wanted() const noexcept;
  [[nodiscard]] std::int64_t to_wire(const Seat& seat, std::size_t frame_bytes) const noexcept;
  void charge(Seat& seat, std::int64_t bytes, TimePoint now);
  void measure(Seat& seat, const Wire& wire);
  void wait(Session session, Seat& seat);
  void begin_turn(Session session, Seat& seat, TimePoint now);
  void leave_turn(Session session, Seat& seat);
  void forget_turn(Session session, Seat& seat);
  void expire_turns(TimePoint now);
  void start_paced(TimePoint now);
  void note_waiting(TimePoint now) noexcept;
  [[nodiscard]] std::int64_t quantum() const noexcept;

  UploadLimits limits_;
  UploadMonth month_;
  SendPace pace_;
  unsigned courtesy_ = 1000;
  std::optional<LocalTime> local_;
  bool open_ = true;  // by the schedule
  std::vector<Seat> seats_;
  std::vector<Session> free_;
  std::deque<Session> ring_;    // waiting, whose turn is next first; at most once each
  std::vector<Session> turns_;  // in State::turn
  std::size_t paced_ = 0;       // in State::paced
  std::int64_t promised_ = 0;   // of turns_, not taken yet
  std::size_t frame_max_;       // the largest frame seen, at the socket
  Counters counters_;
  std::optional<TimePoint> waiting_since_;
};

}  // namespace tayga::relay
