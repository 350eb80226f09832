#pragma once

#include "common/base/time.hpp"

#include <boost/json/object.hpp>
#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace tayga::bench {

/// The CPUs that this process may run on, in order; never empty.
std::vector<unsigned> usable_cpus();
/// The CPU for the measured side (0) or the load (1) of a bench: the same one when there is only
/// one.
unsigned cpu_for(unsigned side);
/// Refused: the caller runs anywhere.
void pin_to_cpu(unsigned cpu);

/// CPU time of this process, all threads, user and system.
double process_cpu_seconds();
/// How long this process was ready to run but others had its CPU: a measure of how little its
/// other figures mean.
double process_wait_seconds();
std::size_t resident_bytes();
std::size_t resident_peak_bytes();  ///< since the process began
/// Raises the soft limit of open files to the hard one. Throws std::invalid_argument, worded for
/// the user, when that is below `needed`.
void allow_files(std::size_t needed);
/// Wall time as benches compare it between processes of one machine.
std::int64_t wall_us();
/// Blocks this thread.
void sleep_until_wall(std::int64_t at_us);

/// One end of a line between two processes; a message is one JSON object.
class Channel {
 public:
  explicit Channel(int fd) : fd_{fd} {}
  Channel(Channel&& other) noexcept;
  Channel& operator=(Channel&& other) noexcept;
  ~Channel();

  [[nodiscard]] int fd() const noexcept { return fd_; }
  void send(const boost::json::object& message) const;
  /// Blocks. Throws std::runtime_error when nothing came in time or the other end is gone.
  [[nodiscard]] boost::json::object receive(Duration limit) const;

 private:
  int fd_;
};

/// A process of the bench, forked from it and pinned to one CPU. Fork before threads are started.
class Role {
 public:
  using Main = std::function<void(Channel&)>;

  /// An exception that leaves `main` reaches whoever waits for the role's next answer.
  Role(std::string name, unsigned cpu, const Main& main);
  ~Role();  ///< Kills it if it still runs.
  Role(const Role&) = delete;
  Role& operator=(const Role&) = delete;

  /// The role's next message. Throws std::runtime_error as Channel::receive, or with the role's own
  /// failure.
  [[nodiscard]] boost::json::object receive(Duration limit = 60s);
  void tell(std::string_view command, boost::json::object arguments = {});
  /// tell() and receive().
  boost::json::object ask(std::string_view command, boost::json::object arguments = {},
                          Duration limit = 60s);

 private:
  std::string name_;
  Channel channel_;
  pid_t pid_;
};

/// Another program, pinned to one CPU, its output captured. Killed when destroyed.
class Program {
 public:
  Program(const std::vector<std::string>& command, unsigned cpu);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// Blocks until it ended by itself; its standard output. Throws std::runtime_error when it takes
  /// longer than `limit` or fails.
  std::string finish(Duration limit);

 private:
  std::string name_;
  int output_;
  pid_t pid_;
};

/// The path of a program on PATH or in /usr/sbin; empty: not installed.
std::string find_program(const std::string& name);

}  // namespace tayga::bench
