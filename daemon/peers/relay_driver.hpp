#pragma once

#include "common/async/clock.hpp"
#include "common/async/event.hpp"
#include "common/async/task_group.hpp"
#include "common/base/ids.hpp"
#include "common/transport/transport.hpp"
#include "daemon/core/relay.hpp"
#include "daemon/peers/upload_gate.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tayga::peers {

/// What the relay decided that is nobody's business here: for the control session and the players.
class RelayEvents {
 public:
  virtual ~RelayEvents() = default;
  virtual void on_parent_lost(const relay::Relay::ParentLost& lost) = 0;
  virtual void on_suspected(const relay::Relay::Suspected&) {}
  virtual void on_repaired(const relay::Relay::Repaired&) {}
  /// To be answered by Relay::on_origin_done(), through input(): at once or later.
  virtual void on_fetch_origin(const relay::Relay::FetchOrigin& fetch) = 0;
  virtual void on_tampered(const relay::Relay::Tampered& tampered) = 0;
  virtual void on_progress(const StreamId& stream, TrackId track) = 0;
};

struct PeerView {
  NodeId peer;
  bool dialed = false;  ///< by us
  transport::Kind transport = transport::Kind::tcp;
  transport::Endpoint remote;
  TimePoint since;
  Duration dial_time{0};  ///< from the wish to connect to the proven session; 0 = it dialed us
  transport::SessionStats stats;
};

/// Bytes of peer sessions at the socket, since the start, sessions that ended included.
struct PeerTraffic {
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t sessions_opened = 0;
  std::uint64_t sessions_refused = 0;
};

/// The relay's shell: gives it its clock, its timer and its peer sessions, and does what it asks.
///
/// Decides nothing about media. On one executor, not thread-safe. Destroy it only after shutdown()
/// ended or when the executor runs no more; relay, transport and events must outlive it.
class RelayDriver {
 public:
  struct Options {
    NodeId self;
    std::string software;
    std::size_t dials_max = 64;
    Duration dial_timeout = 5s;    ///< of one address; several are tried one shortly after another
    Duration ping_interval = 5s;   ///< a quiet link is heard before kSessionIdleMax
    Duration hello_timeout = 5s;   ///< a peer that proves a key but says nothing is closed
    UploadGate* upload = nullptr;  ///< all that is sent passes it; must outlive the driver
  };

  RelayDriver(boost::asio::any_io_executor executor, relay::Relay& relay,
              transport::Transport& transport, RelayEvents& events, Options options);
  ~RelayDriver();
  RelayDriver(const RelayDriver&) = delete;
  RelayDriver& operator=(const RelayDriver&) = delete;

  /// Errors of Transport::listen.
  Result<transport::Endpoint> listen(const transport::Endpoint& local);
  /// Sessions of another network are refused; until it is known, all are.
  void set_network(const NetworkId& network);
  /// Where the peers of one stream's assignment listen; replaces what that stream said before.
  void set_addresses(const StreamId& stream,
                     std::map<NodeId, std::vector<transport::Endpoint>> addresses);

  /// Gives the relay an input and performs what follows from it:
  /// `driver.input([&](relay::Relay& r, relay::Now now) { r.on_assignment(a, now); })`.
  template <class Input>
  void input(Input&& give) {
    give(relay_, now());
    perform();
  }
  [[nodiscard]] static relay::Now now() noexcept;

  /// Says go_away, serves children until they moved away or `grace` passed, closes all sessions.
  async::Task<void> shutdown(Duration grace);

  [[nodiscard]] std::vector<PeerView> peers() const;
  [[nodiscard]] PeerTraffic traffic() const;

 private:
  class Link;
  void perform();
  void perform_one(relay::Relay::Action&& action);
  void arm_timer();
  void on_timer();
  void dial(const NodeId& peer);
  async::Task<void> run_dial(NodeId peer, std::vector<transport::Endpoint> endpoints);
  static async::Task<Result<std::unique_ptr<transport::Session>>> dial_address(
      transport::Transport& transport, transport::Endpoint endpoint, NodeId peer, Duration timeout);
  [[nodiscard]] std::vector<transport::Endpoint> addresses_of(const NodeId& peer) const;
  void adopt(std::unique_ptr<transport::Session> session, Duration dial_time);
  void retire(std::unique_ptr<Link> link);
  void on_link_hello(Link& link, const relay::Hello& hello);
  void on_link_closed(Link& link, const transport::CloseInfo& info);
  void count_ended(const Link& link);
  void forget(Link& link);
  void on_ping_time();
  void arm_hello_timer();
  void close_silent_links();

  boost::asio::any_io_executor executor_;
  relay::Relay& relay_;
  transport::Transport& transport_;
  RelayEvents& events_;
  Options options_;
  std::optional<NetworkId> network_;
  std::map<StreamId, std::map<NodeId, std::vector<transport::Endpoint>>> addresses_;
  std::map<NodeId, std::unique_ptr<Link>> links_;  ///< at most one per peer
  std::vector<std::unique_ptr<Link>> surplus_;     ///< competing with one in links_, or replaced
  std::map<NodeId, bool> dialing_;
  PeerTraffic ended_;
  boost::asio::steady_timer timer_;
  std::optional<TimePoint> armed_;
  boost::asio::steady_timer ping_timer_;
  std::uint64_t ping_nonce_ = 0;
  boost::asio::steady_timer hello_timer_;
  bool hello_armed_ = false;
  async::Event settled_;  ///< pulsed after every input while shutting down
  bool performing_ = false;
  bool draining_ = false;
  bool stopping_ = false;
  async::TaskGroup dials_;
};

}  // namespace tayga::peers
