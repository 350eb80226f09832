#pragma once

#include "common/transport/session.hpp"
#include "common/transport/workers/messages.hpp"

#include <memory>
#include <optional>
#include <string>

namespace tayga::transport::workers {

class ProxyHub;

/// The inside of a Session whose connection lives on another thread. It stays alive while one of
/// its own calls runs, so the owner may destroy the Session from inside any callback.
///
/// Media is pulled on the hub's turn, while less than kMediaCreditMax of it is in the worker's
/// hands.
class Proxy final : public std::enable_shared_from_this<Proxy> {
 public:
  Proxy(std::shared_ptr<ProxyHub> hub, Key key, SessionFacts facts);
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  // From the owner.
  void start(SessionHandler& handler);
  void send_control(SharedBytes frame);
  void notify_media();
  void close(std::string reason);
  void abandon();
  [[nodiscard]] const SessionFacts& facts() const noexcept { return facts_; }
  [[nodiscard]] SessionStats stats() const;

  // From the hub.
  void on_turn();
  void on_frame(wire::FrameType type, ByteView payload);
  void on_taken(const Event::Taken& taken);
  void on_stats(const SessionStats& stats);
  void on_closed(const CloseInfo& info, const SessionStats& stats);

 private:
  enum class Phase { open, closing, finished };

  void want_turn();
  void pull_media();
  void finish(const CloseInfo& info);

  const std::shared_ptr<ProxyHub> hub_;
  const Key key_;
  SessionFacts facts_;  // stats: as the worker last said
  SessionHandler* handler_ = nullptr;
  Phase phase_ = Phase::open;
  std::optional<CloseInfo> verdict_;  // how it must end; told on the next turn
  std::size_t media_in_hand_ = 0;     // given to the worker, not taken by its session
  std::size_t control_in_hand_ = 0;
  bool handler_has_media_ = false;
  bool turn_wanted_ = false;
};

std::unique_ptr<Session> make_session(std::shared_ptr<Proxy> proxy);

}  // namespace tayga::transport::workers
