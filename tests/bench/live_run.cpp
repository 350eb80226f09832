#include "tests/bench/live_run.hpp"

#include <chrono>
#include <stdexcept>

namespace tayga::bench {
namespace {

constexpr Duration kLateness = 700ms;  // by then whatever still comes is late
constexpr Duration kAnswerLimit = 60s;
constexpr Duration kForever = 24h;

std::uint16_t port_of(Role& role) {
  return role.receive().at("port").to_number<std::uint16_t>();
}

}  // namespace

double number(const boost::json::object& figures, const char* key) {
  return figures.at(key).to_number<double>();
}

LiveRun::LiveRun(const LivePlan& plan)
    : source_{start_source(plan, cpu_for(1))},
      relay_{start_relay(plan, cpu_for(0))},
      children_{start_children(plan, cpu_for(1))},
      load_{start_children(plan, cpu_for(1))},
      plan_{plan} {
  source_port_ = port_of(*source_);
  relay_port_ = port_of(*relay_);
  (void)children_->receive();
  (void)load_->receive();
  relay_->ask("follow", {{"port", source_port_}});
}

void LiveRun::dial(std::size_t group, std::uint16_t port) {
  children_->ask("dial", {{"group", group}, {"port", port}}, kAnswerLimit);
}
void LiveRun::dial_direct(std::size_t group) {
  children_->ask("dial", {{"group", group}, {"port", source_port_}, {"direct", true}},
                 kAnswerLimit);
}
void LiveRun::dial_as_load(std::size_t group) {
  load_->ask("dial", {{"group", group}, {"port", relay_port_}}, kAnswerLimit);
}
void LiveRun::publish() {
  source_->ask("publish");
}

LiveFigures LiveRun::measure(Duration length) {
  const boost::json::object window = make_window(length);
  relay_->tell("measure", window);
  source_->ask("measure", window);
  children_->ask("measure", window);
  LiveFigures figures;
  figures.relay = relay_->receive(length + kAnswerLimit);
  sleep_until_wall(window.at("end_us").as_int64() + kLateness.count());
  figures.sent = source_->ask("sent");
  const bool by_object = plan_.object_size == 0;  // else there are too many to tell of
  figures.received = children_->ask(
      "result", {{"objects", by_object ? figures.sent.at("objects") : boost::json::object{}}});
  if (!by_object) figures.sent.erase("objects");
  if (const auto* lost = figures.received.if_contains("lost")) {
    throw std::runtime_error{std::string{lost->as_string()}};
  }
  return figures;
}

std::unique_ptr<Role> start_emulator(transport::Kind kind, const test::EmulatedLink& link,
                                     unsigned cpu) {
  return std::make_unique<Role>("link emulator", cpu, [&](Channel& channel) {
    const auto serve = [&](auto&& emulator) {
      channel.send({{"port", emulator.endpoint().port}});
      (void)channel.receive(kForever);
      emulator.set_shape(test::Direction::to_server, link.to_server);
      emulator.set_shape(test::Direction::to_client, link.to_client);
      channel.send({});
      (void)channel.receive(kForever);  // ends with the bench
    };
    test::EmulatedLink clean = link;
    clean.to_server = test::LinkShape{};
    clean.to_server.delay = link.to_server.delay;
    clean.to_client = test::LinkShape{};
    clean.to_client.delay = link.to_client.delay;
    if (kind == transport::Kind::quic) {
      serve(test::UdpLinkEmulator{clean});
    } else {
      serve(test::TcpLinkEmulator{clean});
    }
  });
}

}  // namespace tayga::bench
