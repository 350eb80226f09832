#pragma once

#include "common/base/ring_queue.hpp"
#include "common/transport/flood_guard.hpp"
#include "common/transport/frame_reader.hpp"
#include "common/transport/session.hpp"
#include "common/transport/tls/handshake.hpp"
#include "common/transport/tls/poller.hpp"
#include "common/transport/tls/tls_transport.hpp"
#include "common/transport/turn_queue.hpp"

#include <memory>
#include <optional>
#include <string>

namespace tayga::transport::tls {

/// What the sessions of one transport share; it lives as long as the last of them. The buffers hold
/// nothing between two calls from the executor.
struct Hub {
  Hub(boost::asio::any_io_executor ex, const TlsOptions& opts);

  boost::asio::any_io_executor executor;
  const TlsOptions options;
  std::shared_ptr<Poller> poller;
  std::shared_ptr<TurnQueue> turns;
  std::size_t session_count = 0;

  Bytes received;   // from one read, encrypted
  Bytes plain_in;   // records of that read, decrypted
  Bytes plain_out;  // frames of one write
  Bytes encrypted;  // that write, encrypted
};

/// The inside of a Session: it stays alive while one of its own calls runs, so the owner may
/// destroy the Session from inside any callback.
///
/// Reading: level-triggered, at most kReadsPerWake reads, then others get their turn. Writing: on a
/// turn of the TurnQueue or when the socket becomes writable; frames are taken from the control
/// queue first, then from the handler, joined to one write of 64-128 KiB, encrypted in whole
/// records and sent at once. Nothing is taken while the last write is not wholly in the kernel, and
/// the kernel takes no more than kKernelBacklog beyond what is on its way: the rest waits with its
/// owner.
class Link final : public Pollable, public TurnTaker, public std::enable_shared_from_this<Link> {
 public:
  Link(std::shared_ptr<Hub> hub, Established established);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  void start(SessionHandler& handler);
  void send_control(SharedBytes frame);
  void notify_media();
  void close(std::string reason);
  void set_reading(Reading reading);
  /// The owner is gone: closes at once, calls nobody.
  void abandon();

  [[nodiscard]] const NodeId& peer() const noexcept { return peer_; }
  [[nodiscard]] Side side() const noexcept { return side_; }
  [[nodiscard]] const Endpoint& remote() const noexcept { return remote_; }
  [[nodiscard]] SessionStats stats() const;

  void on_ready(std::uint32_t events) override;
  void on_tick(TimePoint now) override;
  void on_turn(Turn turn) override;

 private:
  enum class Phase {
    open,
    closing,   // our side ends in order: control, close_notify, then the peer's end of file
    finished,  // the handler was told; nothing is called any more
  };

  void receive();
  void take_early_input();
  void on_encrypted(ByteView in);
  void deliver(ByteView plain);
  /// False: this link has ended.
  bool admit(FloodGuard::Kind kind, std::uint32_t count = 1);
  bool admit_records(const Engine::Read& read);
  bool admit_frame(const FrameView& frame);
  void on_peer_end(CloseInfo::Reason reason, std::string detail);
  void on_receive_error(const error_code& ec);

  void schedule();
  void pump();
  void pull_media();
  [[nodiscard]] bool flush_is_due() const;
  bool write_batch();
  void say_goodbye();
  bool send_encrypted();
  bool send_pending();
  void on_send_error(const error_code& ec);
  void watch();
  [[nodiscard]] std::uint32_t wanted_events() const;

  void finish(CloseInfo info);

  const std::shared_ptr<Hub> hub_;
  UniqueFd socket_;
  const std::unique_ptr<Engine> engine_;
  const NodeId peer_;
  const Side side_;
  const Endpoint remote_;
  SessionHandler* handler_ = nullptr;
  Phase phase_ = Phase::open;
  std::optional<CloseInfo> verdict_;  // how it must end; told on the next turn
  std::string close_reason_;
  TimePoint close_deadline_{};
  TimePoint last_heard_;

  Bytes early_input_;  // came behind the handshake, until start()
  FrameReader reader_;
  FloodGuard floods_;
  bool record_was_small_ = false;

  RingQueue<SharedBytes> control_;
  std::size_t control_bytes_ = 0;
  RingQueue<SharedBytes> media_;  // taken from the handler; below flush_bytes except inside pump()
  std::size_t media_bytes_ = 0;
  bool handler_has_media_ = false;
  bool flush_due_ = false;  // media_ has waited long enough
  Bytes pending_;           // encrypted, not taken by the kernel; at most one write
  std::size_t pending_sent_ = 0;
  TimePoint taken_at_{};  // while something is pending: when the kernel last took of it
  bool goodbye_said_ = false;
  bool turn_soon_ = false;
  bool turn_delayed_ = false;
  bool watched_ = false;
  bool watching_output_ = false;
  bool reading_ = true;
  SessionStats stats_;
  mutable Duration rtt_{0};
  mutable TimePoint rtt_at_{};
};

/// The owner's handle of a Link.
std::unique_ptr<Session> make_session(std::shared_ptr<Hub> hub, Established established);

}  // namespace tayga::transport::tls
