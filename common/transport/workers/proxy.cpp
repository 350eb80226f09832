#include "common/transport/workers/proxy.hpp"

#include "common/base/check.hpp"
#include "common/transport/workers/proxy_hub.hpp"

#include <algorithm>
#include <utility>

namespace tayga::transport::workers {
namespace {

class ProxySession final : public Session {
 public:
  explicit ProxySession(std::shared_ptr<Proxy> proxy) : proxy_{std::move(proxy)} {}
  ~ProxySession() override { proxy_->abandon(); }
  ProxySession(const ProxySession&) = delete;
  ProxySession& operator=(const ProxySession&) = delete;

  void start(SessionHandler& handler) override { proxy_->start(handler); }
  void send_control(SharedBytes frame) override { proxy_->send_control(std::move(frame)); }
  void notify_media() override { proxy_->notify_media(); }
  void close(std::string reason) override { proxy_->close(std::move(reason)); }
  [[nodiscard]] const NodeId& peer() const noexcept override { return proxy_->facts().peer; }
  [[nodiscard]] Kind kind() const noexcept override { return proxy_->facts().kind; }
  [[nodiscard]] Side side() const noexcept override { return proxy_->facts().side; }
  [[nodiscard]] Endpoint remote_endpoint() const override { return proxy_->facts().remote; }
  [[nodiscard]] SessionStats stats() const override { return proxy_->stats(); }

 private:
  const std::shared_ptr<Proxy> proxy_;
};

}  // namespace

std::unique_ptr<Session> make_session(std::shared_ptr<Proxy> proxy) {
  return std::make_unique<ProxySession>(std::move(proxy));
}

Proxy::Proxy(std::shared_ptr<ProxyHub> hub, Key key, SessionFacts facts)
    : hub_{std::move(hub)}, key_{key}, facts_{std::move(facts)} {
  hub_->enlist(key_, *this);
}

Proxy::~Proxy() {
  TAYGA_CHECK(phase_ == Phase::finished);
}

void Proxy::start(SessionHandler& handler) {
  TAYGA_CHECK(handler_ == nullptr);
  if (phase_ == Phase::finished) return;
  handler_ = &handler;
  hub_->send({key_, Command::Start{}});
  if (handler_has_media_ || verdict_) want_turn();
}

void Proxy::send_control(SharedBytes frame) {
  if (phase_ != Phase::open || verdict_) return;
  control_in_hand_ += frame->size();
  if (control_in_hand_ > kControlQueueMax) {  // the worker itself does not come to it
    verdict_ = CloseInfo{CloseInfo::Reason::overflow,
                         std::to_string(control_in_hand_) + " bytes of control frames not taken"};
    return want_turn();
  }
  hub_->send({key_, Command::Control{std::move(frame)}});
}

void Proxy::notify_media() {
  if (phase_ != Phase::open) return;
  handler_has_media_ = true;
  if (media_in_hand_ < kMediaCreditMax) want_turn();  // else: when credit comes back
}

void Proxy::close(std::string reason) {
  if (phase_ != Phase::open || verdict_) return;
  phase_ = Phase::closing;
  handler_has_media_ = false;
  hub_->send({key_, Command::Close{std::move(reason)}});
}

void Proxy::abandon() {
  handler_ = nullptr;
  if (phase_ == Phase::finished) return;
  hub_->send({key_, Command::Abandon{}});
  finish({CloseInfo::Reason::local, {}});
}

SessionStats Proxy::stats() const {
  SessionStats stats = facts_.stats;
  stats.queued_bytes += media_in_hand_ + control_in_hand_;
  return stats;
}

void Proxy::want_turn() {
  if (handler_ == nullptr || std::exchange(turn_wanted_, true)) return;
  hub_->want_turn(weak_from_this());
}

void Proxy::on_turn() {
  turn_wanted_ = false;
  if (phase_ == Phase::finished || handler_ == nullptr) return;
  if (verdict_) {
    hub_->send({key_, Command::Abandon{}});
    return finish(*verdict_);
  }
  pull_media();
}

void Proxy::pull_media() {
  while (phase_ == Phase::open && handler_has_media_ && media_in_hand_ < kMediaCreditMax) {
    std::optional<OutboundMedia> next = handler_->next_media();
    if (phase_ != Phase::open) return;  // closed or destroyed from inside next_media()
    if (!next) {
      handler_has_media_ = false;
      return;
    }
    media_in_hand_ += next->frame->size();
    hub_->send({key_, Command::Media{std::move(*next)}});
  }
}

void Proxy::on_frame(wire::FrameType type, ByteView payload) {
  if (phase_ == Phase::open && !verdict_) handler_->on_frame(type, payload);
}

void Proxy::on_taken(const Event::Taken& taken) {
  media_in_hand_ -= std::min(taken.media_bytes, media_in_hand_);
  control_in_hand_ -= std::min(taken.control_bytes, control_in_hand_);
  if (handler_has_media_) want_turn();
}

void Proxy::on_stats(const SessionStats& stats) {
  facts_.stats = stats;
}

void Proxy::on_closed(const CloseInfo& info, const SessionStats& stats) {
  facts_.stats = stats;
  finish(verdict_.value_or(info));
}

void Proxy::finish(const CloseInfo& info) {
  phase_ = Phase::finished;
  media_in_hand_ = control_in_hand_ = 0;
  hub_->forget(key_);
  SessionHandler* const handler = std::exchange(handler_, nullptr);
  if (handler != nullptr) handler->on_closed(info);
}

}  // namespace tayga::transport::workers
