#include "tests/bench/transports.hpp"

#include "common/crypto/hash.hpp"
#include "common/transport/quic/quic_transport.hpp"
#include "common/transport/tls/tls_transport.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace tayga::bench {
namespace {

using transport::Session;

class AliasSession final : public Session {
 public:
  AliasSession(std::unique_ptr<Session> inner, const NodeId& alias)
      : inner_{std::move(inner)}, alias_{alias} {}

  void start(transport::SessionHandler& handler) override { inner_->start(handler); }
  void send_control(SharedBytes frame) override { inner_->send_control(std::move(frame)); }
  void notify_media() override { inner_->notify_media(); }
  void close(std::string reason) override { inner_->close(std::move(reason)); }
  void set_reading(transport::Reading reading) override { inner_->set_reading(reading); }
  [[nodiscard]] const NodeId& peer() const noexcept override { return alias_; }
  [[nodiscard]] transport::Kind kind() const noexcept override { return inner_->kind(); }
  [[nodiscard]] transport::Side side() const noexcept override { return inner_->side(); }
  [[nodiscard]] transport::Endpoint remote_endpoint() const override {
    return inner_->remote_endpoint();
  }
  [[nodiscard]] transport::SessionStats stats() const override { return inner_->stats(); }

 private:
  std::unique_ptr<Session> inner_;
  NodeId alias_;
};

template <class Options>
Options to_options(const TransportSetup& setup) {
  Options options;
  options.sessions_max = setup.sessions_max;
  if (setup.flush_bytes) options.flush_bytes = *setup.flush_bytes;
  if (setup.flush_delay) options.flush_delay = transport::FlushDelay::fixed(*setup.flush_delay);
  return options;
}

}  // namespace

std::unique_ptr<transport::Transport> make_transport(boost::asio::any_io_executor executor,
                                                     const crypto::SigningKey& identity,
                                                     const TransportSetup& setup) {
  if (setup.kind == transport::Kind::quic) {
    auto options = to_options<transport::quic::QuicOptions>(setup);
    if (setup.cubic) options.congestion_control = transport::quic::CongestionControl::cubic;
    return transport::quic::make_quic_transport(executor, identity, options);
  }
  return transport::tls::make_tls_transport(executor, identity,
                                            to_options<transport::tls::TlsOptions>(setup));
}

TransportSetup transport_from(const Args& args) {
  TransportSetup setup;
  const std::string name = args.text("transport", "quic");
  if (name != "quic" && name != "tls") {
    throw std::invalid_argument{"--transport '" + name + "' is not one of: quic, tls"};
  }
  setup.kind = name == "quic" ? transport::Kind::quic : transport::Kind::tcp;
  const std::string congestion = args.text("congestion", "bbr");
  if (congestion != "bbr" && congestion != "cubic") {
    throw std::invalid_argument{"--congestion '" + congestion + "' is not one of: bbr, cubic"};
  }
  setup.cubic = congestion == "cubic";
  return setup;
}

const char* name_of(transport::Kind kind) {
  return kind == transport::Kind::quic ? "quic" : "tls";
}

NodeId alias_of(const NodeId& dialer, std::uint32_t number) {
  Bytes text{dialer.view().begin(), dialer.view().end()};
  for (int shift = 0; shift < 32; shift += 8) {
    text.push_back(static_cast<std::byte>(number >> shift & 0xffU));
  }
  return NodeId{crypto::sha256(text)};
}

AliasTransport::AliasTransport(std::unique_ptr<transport::Transport> inner)
    : inner_{std::move(inner)} {}

Result<transport::Endpoint> AliasTransport::listen(const transport::Endpoint& local,
                                                   AcceptHandler on_accept) {
  return inner_->listen(local, [this, on_accept](std::unique_ptr<Session> session) {
    const NodeId dialer = session->peer();
    const NodeId alias = alias_of(dialer, counts_[dialer]++);
    on_accept(std::make_unique<AliasSession>(std::move(session), alias));
  });
}

async::Task<Result<std::unique_ptr<Session>>> AliasTransport::connect(transport::Endpoint remote,
                                                                      NodeId expected,
                                                                      Duration timeout) {
  return inner_->connect(remote, expected, timeout);
}

}  // namespace tayga::bench
