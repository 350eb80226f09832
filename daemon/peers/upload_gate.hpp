#pragma once

#include "common/transport/session.hpp"
#include "daemon/core/upload_budget.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>

namespace tayga::peers {

/// What the clock on the wall shows here.
relay::LocalTime local_now();

/// The upload budget's shell: gives it clocks and a timer, tells sessions when it is their turn,
/// and tells it what their sockets sent.
///
/// On one executor, not thread-safe. The budget must outlive it, and it must outlive its seats.
class UploadGate {
 public:
  /// One session's place in the budget. Destroy it before its session.
  class Seat {
   public:
    Seat(UploadGate& gate, transport::Session& session);
    ~Seat();
    Seat(const Seat&) = delete;
    Seat& operator=(const Seat&) = delete;

    /// Whether one frame of media may go now. False: notify_media() of the session follows.
    [[nodiscard]] bool admit();
    void on_media(std::size_t frame_bytes);
    void on_no_media();  ///< admit() said yes, but there is none
    void on_control(std::size_t frame_bytes);

   private:
    friend class UploadGate;
    void settle(TimePoint now);

    UploadGate& gate_;
    transport::Session& session_;
    relay::UploadBudget::Session place_;
  };

  UploadGate(boost::asio::any_io_executor executor, relay::UploadBudget& budget,
             std::function<relay::LocalTime()> local_clock = local_now);

  /// Something that the passing of time does not tell of changed in the budget: a count was saved.
  void wake();
  /// No timer runs any more; what is admitted stays admitted.
  void stop();

  [[nodiscard]] const relay::UploadBudget& budget() const noexcept { return budget_; }

 private:
  void on_tick();
  void poll();
  void arm(TimePoint at);
  void arm_for_waiting();

  relay::UploadBudget& budget_;
  std::function<relay::LocalTime()> local_clock_;
  std::map<relay::UploadBudget::Session, Seat*> seats_;
  boost::asio::steady_timer turn_timer_;
  std::optional<TimePoint> armed_;
  boost::asio::steady_timer tick_timer_;
  bool stopped_ = false;
};

}  // namespace tayga::peers
