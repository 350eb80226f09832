#pragma once

#include "common/async/clock.hpp"
#include "common/async/event.hpp"
#include "common/transport/flush_pacer.hpp"
#include "common/transport/quic/connection_table.hpp"
#include "common/transport/quic/quic_transport.hpp"
#include "common/transport/quic/udp_socket.hpp"
#include "common/transport/thread_time.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tayga::transport::quic {

/// A UDP socket and the waiting for it.
struct Port {
  Port(const boost::asio::any_io_executor& executor, std::unique_ptr<UdpSocket> udp)
      : socket{std::move(udp)}, waiter{executor, socket->fd()} {}
  ~Port() { waiter.release(); }  // the socket closes what is its own
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  const std::unique_ptr<UdpSocket> socket;
  boost::asio::posix::stream_descriptor waiter;
  bool listening = false;
};

/// Gives a ConnectionTable its sockets, its time and its turns. What the sessions of one transport
/// share; it lives as long as the last of them.
class Shell final : public std::enable_shared_from_this<Shell>, private ConnectionTableEvents {
 public:
  struct Dial {
    explicit Dial(const boost::asio::any_io_executor& executor) : ended{executor} {}
    async::Event ended;
    std::shared_ptr<Connection> connection;
  };

  Shell(boost::asio::any_io_executor executor, const crypto::SigningKey& identity,
        const QuicOptions& options);
  ~Shell();
  Shell(const Shell&) = delete;
  Shell& operator=(const Shell&) = delete;

  Result<Endpoint> listen(const Endpoint& local, Transport::AcceptHandler on_accept);
  void stop();
  std::shared_ptr<Dial> dial(const Endpoint& remote, const NodeId& expected);
  void forget_dial(const std::shared_ptr<Dial>& dial);
  void on_handed_over(const SharedBytes& datagram, const Endpoint& from);
  Result<void> rebind();
  [[nodiscard]] bool is_full() const noexcept {
    return table_.session_count() >= options_.sessions_max;
  }
  [[nodiscard]] const boost::asio::any_io_executor& executor() const noexcept { return executor_; }

 private:
  void on_accepted(std::shared_ptr<Connection> connection) override;
  void on_dial_ended(Connection& connection) override;
  void wants_drain() override;
  void hand_over(unsigned worker, ByteView packet, const UdpPath& path) override;

  Result<Port*> open_port(const Endpoint& local, bool listening);
  Result<Port*> port_for(const Endpoint& remote);
  UdpSocket* find_socket(const UdpPath& path);
  void trim_dial_ports();
  [[nodiscard]] bool is_done() const noexcept { return stopped_ && table_.size() == 0; }
  void rest_if_done();
  void wait_readable(Port& port);
  void on_readable(const UdpSocket* socket);
  void wait_writable();
  void run_drain();
  void arm_timer();
  void on_timer();
  void sample_load(TimePoint now);
  void set_flush_delay();

  const boost::asio::any_io_executor executor_;
  const QuicOptions options_;
  const std::shared_ptr<const SharedSecrets> secrets_;
  FlushPacer pacer_;
  ThreadClock thread_clock_;
  std::vector<std::unique_ptr<Port>> ports_;
  UdpReceiver receiver_;
  UdpSender sender_;
  boost::asio::steady_timer timer_;
  std::optional<TimePoint> armed_;
  ConnectionTable table_;
  Transport::AcceptHandler on_accept_;
  std::unordered_map<Connection*, std::shared_ptr<Dial>> dials_;
  bool in_turn_ = false;  // a drain follows at its end
  bool drain_posted_ = false;
  bool waiting_writable_ = false;
  bool stopped_ = false;
};

/// The owner's handle of an established connection.
std::unique_ptr<Session> make_session(std::shared_ptr<Shell> shell,
                                      std::shared_ptr<Connection> connection);

}  // namespace tayga::transport::quic
