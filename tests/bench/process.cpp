#include "tests/bench/process.hpp"

#include "common/async/clock.hpp"
#include "common/base/check.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace tayga::bench {
namespace {

constexpr std::size_t kMessageMax = 128 * 1024;

std::array<int, 2> make_line() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw std::system_error{errno, std::generic_category(), "socketpair"};
  }
  return ends;
}

/// Forked from a bench; never returns to its caller's code.
[[noreturn]] void run_role(Channel channel, unsigned cpu, const Role::Main& main) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  pin_to_cpu(cpu);
  int code = 0;
  try {
    main(channel);
  } catch (const std::exception& e) {
    code = 1;
    channel.send({{"error", e.what()}});
  }
  std::fflush(nullptr);
  ::_exit(code);
}

void reap(pid_t pid) {
  if (pid <= 0) return;
  (void)::kill(pid, SIGKILL);
  (void)::waitpid(pid, nullptr, 0);
}

bool wait_readable(int fd, Duration limit) {
  pollfd wait{fd, POLLIN, 0};
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(limit).count();
  return ::poll(&wait, 1, static_cast<int>(ms)) == 1;
}

}  // namespace

std::vector<unsigned> usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<unsigned> cpus;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) {
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    }
  }
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

unsigned cpu_for(unsigned side) {
  static const std::vector<unsigned> cpus = usable_cpus();  // of the process that is not yet pinned
  return cpus[side % cpus.size()];
}

void pin_to_cpu(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  (void)::sched_setaffinity(0, sizeof set, &set);
}

double process_cpu_seconds() {
  rusage usage{};
  TAYGA_CHECK(::getrusage(RUSAGE_SELF, &usage) == 0);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double process_wait_seconds() {
  std::ifstream schedstat{"/proc/self/schedstat"};
  std::uint64_t ran_ns = 0;
  std::uint64_t waited_ns = 0;
  schedstat >> ran_ns >> waited_ns;  // 0 where the kernel does not tell
  return static_cast<double>(waited_ns) * 1e-9;
}

std::size_t resident_bytes() {
  std::ifstream statm{"/proc/self/statm"};
  std::size_t total = 0;
  std::size_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

std::size_t resident_peak_bytes() {
  std::ifstream status{"/proc/self/status"};
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) * 1024;
  }
  return resident_bytes();
}

void allow_files(std::size_t needed) {
  rlimit limit{};
  TAYGA_CHECK(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_max;
  TAYGA_CHECK(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
  if (needed > limit.rlim_cur) {
    throw std::invalid_argument{"so many sessions need " + std::to_string(needed) +
                                " open files; this system allows " +
                                std::to_string(limit.rlim_cur)};
  }
}

std::int64_t wall_us() {
  return async::Clock::wall_now().time_since_epoch().count();
}

void sleep_until_wall(std::int64_t at_us) {
  timespec at{};
  at.tv_sec = static_cast<time_t>(at_us / 1'000'000);
  at.tv_nsec = static_cast<long>(at_us % 1'000'000) * 1000;
  while (::clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, nullptr) == EINTR) {
  }
}

Channel::Channel(Channel&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
Channel& Channel::operator=(Channel&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}
Channel::~Channel() {
  if (fd_ >= 0) ::close(fd_);
}

void Channel::send(const boost::json::object& message) const {
  const std::string text = boost::json::serialize(message);
  TAYGA_CHECK(text.size() <= kMessageMax);
  // A failure means that the other end is gone: whoever waits for its answer sees it.
  (void)!::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
}

boost::json::object Channel::receive(Duration limit) const {
  if (!wait_readable(fd_, limit)) throw std::runtime_error{"no answer in time"};
  std::string text(kMessageMax, '\0');
  const auto size = ::recv(fd_, text.data(), text.size(), 0);
  if (size <= 0) throw std::runtime_error{"ended without an answer"};
  text.resize(static_cast<std::size_t>(size));
  return boost::json::parse(text).as_object();
}

Role::Role(std::string name, unsigned cpu, const Main& main)
    : name_{std::move(name)}, channel_{-1}, pid_{-1} {
  const std::array<int, 2> ends = make_line();
  std::fflush(nullptr);
  pid_ = ::fork();
  if (pid_ < 0) throw std::system_error{errno, std::generic_category(), "fork"};
  if (pid_ == 0) {
    ::close(ends[0]);
    run_role(Channel{ends[1]}, cpu, main);
  }
  ::close(ends[1]);
  channel_ = Channel{ends[0]};
}

Role::~Role() {
  reap(pid_);
}

boost::json::object Role::receive(Duration limit) {
  boost::json::object message;
  try {
    message = channel_.receive(limit);
  } catch (const std::exception& e) {
    throw std::runtime_error{"the " + name_ + " process: " + e.what()};
  }
  if (const auto* error = message.if_contains("error")) {
    throw std::runtime_error{"the " + name_ + " process: " + error->as_string().c_str()};
  }
  return message;
}

void Role::tell(std::string_view command, boost::json::object arguments) {
  arguments["command"] = command;
  channel_.send(arguments);
}

boost::json::object Role::ask(std::string_view command, boost::json::object arguments,
                              Duration limit) {
  tell(command, std::move(arguments));
  return receive(limit);
}

Program::Program(const std::vector<std::string>& command, unsigned cpu)
    : name_{command.at(0)}, output_{-1}, pid_{-1} {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) {
    throw std::system_error{errno, std::generic_category(), "pipe"};
  }
  std::vector<char*> arguments;
  for (const std::string& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));  // execv does not write to them
  }
  arguments.push_back(nullptr);
  std::fflush(nullptr);
  pid_ = ::fork();
  if (pid_ < 0) throw std::system_error{errno, std::generic_category(), "fork"};
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin_to_cpu(cpu);
    ::dup2(pipe[1], STDOUT_FILENO);
    ::dup2(pipe[1], STDERR_FILENO);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }
  ::close(pipe[1]);
  output_ = pipe[0];
}

Program::~Program() {
  reap(pid_);
  ::close(output_);
}

std::string Program::finish(Duration limit) {
  const TimePoint deadline = async::Clock::now() + limit;
  std::string text;
  for (;;) {
    const Duration left = deadline - async::Clock::now();
    if (left <= Duration{0} || !wait_readable(output_, left)) {
      throw std::runtime_error{name_ + " took too long"};
    }
    std::array<char, 4096> buffer{};
    const auto size = ::read(output_, buffer.data(), buffer.size());
    if (size <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(size));
  }
  int status = 0;
  (void)::waitpid(std::exchange(pid_, -1), &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw std::runtime_error{name_ + " failed: " + text};
  }
  return text;
}

std::string find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream folders{std::string{path == nullptr ? "" : path} + ":/usr/sbin:/sbin"};
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::string candidate = folder + "/" + name;
    if (!folder.empty() && ::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return {};
}

}  // namespace tayga::bench
