#include "tests/support/scripted_peer.hpp"

#include "common/base/check.hpp"
#include "daemon/control/peer_codec.hpp"

#include <utility>

namespace tayga::test {

ScriptedPeer::ScriptedPeer(boost::asio::io_context& io, const TestNetwork& network)
    : network_{network},
      transport_{transport::tls::make_tls_transport(io.get_executor(), identity_, {})},
      dials_{io.get_executor(), "scripted peer", 1} {}

ScriptedPeer::~ScriptedPeer() {
  transport_->stop();
  session_.reset();
}

void ScriptedPeer::listen() {
  const auto bound = transport_->listen(
      *transport::parse_endpoint("127.0.0.1:0"),
      [this](std::unique_ptr<transport::Session> session) { adopt(std::move(session)); });
  TAYGA_CHECK(bound.has_value());
  endpoint_ = *bound;
}

void ScriptedPeer::dial(const TestNode& node) {
  TAYGA_CHECK(dials_.spawn(run_dial(node.endpoint(), node.id())));
}

async::Task<void> ScriptedPeer::run_dial(transport::Endpoint remote, NodeId expected) {
  auto session = co_await transport_->connect(remote, expected, Duration{5s});
  if (session) adopt(std::move(*session));
}

void ScriptedPeer::adopt(std::unique_ptr<transport::Session> session) {
  session_ = std::move(session);
  closed_.reset();
  session_->start(*this);
  relay::Hello hello;
  hello.software = "scripted";
  hello.network = network_.network();
  send(hello);
}

void ScriptedPeer::send(const relay::PeerMessage& message) {
  if (connected()) session_->send_control(control::encode_control_frame(message));
}

void ScriptedPeer::send_media(SharedBytes frame) {
  media_.push_back(std::move(frame));
  if (connected()) session_->notify_media();
}

void ScriptedPeer::close() {
  if (connected()) session_->close("scripted");
}

void ScriptedPeer::on_frame(wire::FrameType type, ByteView payload) {
  if (type != wire::FrameType::control) {
    if (type == wire::FrameType::chunk) ++chunks_received_;
    if (on_media) on_media(type, payload);
    return;
  }
  const auto message = control::decode_control(payload);
  TAYGA_CHECK(message.has_value());
  if (on_message) on_message(*message);
}

std::optional<transport::OutboundMedia> ScriptedPeer::next_media() {
  if (media_.empty()) return std::nullopt;
  transport::OutboundMedia out;
  out.flow.track = kTestTrack;
  out.frame = std::move(media_.front());
  media_.pop_front();
  return out;
}

void ScriptedPeer::on_closed(const transport::CloseInfo& info) {
  closed_ = info;
}

}  // namespace tayga::test
