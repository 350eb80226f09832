#pragma once

#include "common/async/task_group.hpp"
#include "common/transport/transport.hpp"
#include "common/transport/workers/batch_pipe.hpp"
#include "common/transport/workers/messages.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

namespace tayga::transport::workers {

/// Both ways between the main thread and one worker.
struct Channel {
  BatchPipe<CommandBatch> commands;
  BatchPipe<EventBatch> events;
  std::function<void()> wake_main;  ///< posts; called on the worker
};

/// A worker's side of a pooled transport: the transport itself and its sessions.
///
/// Does what the commands say and reports what happens, each gathered to one batch per turn of the
/// worker's loop. A session's media waits here, within the credit that the main thread keeps to,
/// until the session takes it. Lives on the worker's executor: every call comes there.
class WorkerHub : public std::enable_shared_from_this<WorkerHub> {
 public:
  WorkerHub(boost::asio::any_io_executor executor, std::unique_ptr<Transport> transport,
            std::shared_ptr<Channel> channel);
  ~WorkerHub();
  WorkerHub(const WorkerHub&) = delete;
  WorkerHub& operator=(const WorkerHub&) = delete;

  /// Sessions that are accepted there are reported with `listener`.
  Result<Endpoint> listen(const Endpoint& local, std::size_t listener);
  void stop_transport();
  /// The main thread pushed commands.
  void on_commands();
  /// Closes every session at once and ends every dial; nothing is reported any more.
  void shut_down();

 private:
  class Agent;
  struct Dial;

  void perform(Command& command);
  void dial(Key key, const Command::Dial& dial);
  static async::Task<void> run_dial(std::shared_ptr<WorkerHub> hub, Key key, Command::Dial dial);
  Key add(std::unique_ptr<Session> session);
  void on_consumed(Key key, std::size_t bytes);

  void on_frame(Agent& agent, wire::FrameType type, ByteView payload);
  void on_closed(Agent& agent, const CloseInfo& info);

  void report(Event event);
  void mark_taken(Agent& agent);
  void schedule_flush();
  void flush();
  void arm_stats();
  void report_stats();

  boost::asio::any_io_executor executor_;
  std::unique_ptr<Transport> transport_;
  const std::shared_ptr<Channel> channel_;
  Key last_key_ = 0;
  std::unordered_map<Key, std::unique_ptr<Agent>> agents_;
  std::map<Key, std::unique_ptr<async::TaskGroup>> dials_;  // one task each; at most kDialsMax
  std::vector<Key> ended_dials_;
  std::size_t unread_ = 0;  // frames that the main thread has not looked at
  std::vector<Key> held_;   // sessions that are not read until it has
  CommandBatch commands_;
  EventBatch events_;            // of this turn
  std::vector<Key> taken_from_;  // agents with credit to give back
  bool flush_posted_ = false;
  boost::asio::steady_timer stats_timer_;
  bool stats_armed_ = false;
  bool shut_down_ = false;
};

}  // namespace tayga::transport::workers
