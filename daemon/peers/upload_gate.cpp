#include "daemon/peers/upload_gate.hpp"

#include "common/async/clock.hpp"

#include <chrono>
#include <ctime>
#include <utility>

namespace tayga::peers {
namespace {

/// Sockets are asked this often what they sent, and the wall what time it is.
constexpr Duration kTick = 250ms;

}  // namespace

relay::LocalTime local_now() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm broken{};
  localtime_r(&now, &broken);
  const std::chrono::local_days day{std::chrono::year{broken.tm_year + 1900} /
                                    std::chrono::month{static_cast<unsigned>(broken.tm_mon) + 1} /
                                    std::chrono::day{static_cast<unsigned>(broken.tm_mday)}};
  return day + std::chrono::hours{broken.tm_hour} + std::chrono::minutes{broken.tm_min} +
         std::chrono::seconds{broken.tm_sec};
}

UploadGate::Seat::Seat(UploadGate& gate, transport::Session& session)
    : gate_{gate}, session_{session}, place_{gate.budget_.open()} {
  gate_.seats_.emplace(place_, this);
}

UploadGate::Seat::~Seat() {
  const TimePoint now = async::Clock::now();
  settle(now);
  gate_.seats_.erase(place_);
  gate_.budget_.close(place_, now);
}

bool UploadGate::Seat::admit() {
  const bool admitted = gate_.budget_.admit(place_, async::Clock::now());
  if (!admitted) gate_.arm_for_waiting();
  return admitted;
}

void UploadGate::Seat::on_media(std::size_t frame_bytes) {
  gate_.budget_.on_media(place_, frame_bytes, async::Clock::now());
}

void UploadGate::Seat::on_no_media() {
  gate_.budget_.on_no_media(place_, async::Clock::now());
  if (gate_.budget_.waiting() > 0) gate_.arm_for_waiting();  // the next one may go
}

void UploadGate::Seat::on_control(std::size_t frame_bytes) {
  gate_.budget_.on_control(place_, frame_bytes, async::Clock::now());
}

void UploadGate::Seat::settle(TimePoint now) {
  const transport::SessionStats stats = session_.stats();
  gate_.budget_.on_wire(place_, {stats.bytes_out, stats.frame_bytes_out}, now);
}

UploadGate::UploadGate(boost::asio::any_io_executor executor, relay::UploadBudget& budget,
                       std::function<relay::LocalTime()> local_clock)
    : budget_{budget},
      local_clock_{std::move(local_clock)},
      turn_timer_{executor},
      tick_timer_{executor} {
  on_tick();
}

void UploadGate::stop() {
  stopped_ = true;
  turn_timer_.cancel();
  tick_timer_.cancel();
}

void UploadGate::wake() {
  if (!stopped_) poll();
}

void UploadGate::on_tick() {
  if (stopped_) return;
  const TimePoint now = async::Clock::now();
  budget_.on_clock(local_clock_(), now);
  for (const auto& [place, seat] : seats_) {
    seat->settle(now);
  }
  poll();
  tick_timer_.expires_after(kTick);
  tick_timer_.async_wait([this](error_code ec) {
    if (!ec) on_tick();
  });
}

void UploadGate::poll() {
  const TimePoint now = async::Clock::now();
  while (const auto ready = budget_.poll_ready(now)) {
    const auto seat = seats_.find(*ready);
    if (seat != seats_.end()) seat->second->session_.notify_media();  // pulls later, on its turn
  }
  arm_for_waiting();
}

void UploadGate::arm_for_waiting() {
  const auto next = budget_.next_timeout(async::Clock::now());
  if (next) arm(*next);
}

void UploadGate::arm(TimePoint at) {
  // A wake-up that comes too early costs less than arming anew for each: only earlier ones do.
  if (stopped_ || (armed_ && *armed_ <= at)) return;
  armed_ = at;
  turn_timer_.expires_at(async::Clock::to_steady(at));
  turn_timer_.async_wait([this](error_code ec) {
    if (ec) return;
    armed_.reset();
    poll();
  });
}

}  // namespace tayga::peers
