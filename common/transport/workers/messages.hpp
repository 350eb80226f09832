#pragma once

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"
#include "common/base/time.hpp"
#include "common/transport/session.hpp"

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

/// What crosses between the main thread and one worker, and within which bounds.
namespace tayga::transport::workers {

/// Media frames of one session that the worker may hold before its session took them. What is
/// beyond stays with the owner, where it can still be dropped as late. At 100 us for the way there
/// and back it allows 5 Gbit/s.
inline constexpr std::size_t kMediaCreditMax = 64 * 1024;
/// Received bytes of one session that the main thread has not looked at yet: beyond it the session
/// is not read (its peer is held back) until half of it is gone.
inline constexpr std::size_t kUnreadPause = 512 * 1024;
/// The same for all sessions of a worker together.
inline constexpr std::size_t kWorkerUnreadPause = 4 * 1024 * 1024;
/// A session that cannot be held back is closed (overflow) beyond this.
inline constexpr std::size_t kUnreadMax = 4 * 1024 * 1024;
/// How old the figures of stats() may be.
inline constexpr Duration kStatsPeriod = 200ms;

/// Names a session, or a dial, of one worker; never used again.
using Key = std::uint64_t;

struct SessionFacts {
  NodeId peer;
  Kind kind = Kind::tcp;
  Side side = Side::dialer;
  Endpoint remote;
  SessionStats stats;
};

/// Main thread -> worker, of the session or dial `key`.
struct Command {
  struct Start {};
  struct Control {
    SharedBytes frame;
  };
  struct Media {
    OutboundMedia media;
  };
  struct Close {
    std::string reason;
  };
  struct Abandon {};
  struct Consumed {
    std::size_t bytes;  ///< of received frames, headers included
  };
  struct Dial {
    Endpoint remote;
    NodeId expected;
    Duration timeout;
  };
  struct CancelDial {};

  Key key;
  // What is rare and large is behind a pointer: most commands are media frames.
  std::variant<Start, Control, Media, Close, Abandon, Consumed, std::unique_ptr<Dial>, CancelDial>
      what;
};

struct CommandBatch {
  std::vector<Command> commands;

  [[nodiscard]] bool empty() const noexcept { return commands.empty(); }
  void clear() noexcept { commands.clear(); }
  void append(CommandBatch& more) {
    commands.insert(commands.end(), std::make_move_iterator(more.commands.begin()),
                    std::make_move_iterator(more.commands.end()));
  }
};

/// Worker -> main thread, of the session or dial `key`.
struct Event {
  struct Accepted {
    std::size_t listener;
    SessionFacts facts;
  };
  struct Dialed {
    error_code error;
    Key session = 0;  ///< without an error
    SessionFacts facts;
  };
  struct Frame {
    wire::FrameType type;
    std::size_t offset;  ///< in EventBatch::bytes
    std::size_t size;
  };
  struct Taken {
    std::size_t media_bytes;
    std::size_t control_bytes;
  };
  struct Stats {
    SessionStats stats;
  };
  struct Closed {
    CloseInfo info;
    SessionStats stats;
  };

  Key key;
  // As above: most events are received frames.
  std::variant<std::unique_ptr<Accepted>, std::unique_ptr<Dialed>, Frame, Taken, Stats,
               std::unique_ptr<Closed>>
      what;
};

struct EventBatch {
  static constexpr std::size_t kKeptMax = 1024 * 1024;

  std::vector<Event> events;
  Bytes bytes;  ///< payloads of the frames, one behind the other

  [[nodiscard]] bool empty() const noexcept { return events.empty(); }
  void clear() noexcept {
    events.clear();
    bytes.clear();
    if (bytes.capacity() > kKeptMax) bytes = Bytes{};  // the main thread was late: once, not always
  }
  void append(EventBatch& more) {
    const std::size_t base = bytes.size();
    bytes.insert(bytes.end(), more.bytes.begin(), more.bytes.end());
    for (Event& event : more.events) {
      if (auto* frame = std::get_if<Event::Frame>(&event.what)) frame->offset += base;
      events.push_back(std::move(event));
    }
  }
};

}  // namespace tayga::transport::workers
