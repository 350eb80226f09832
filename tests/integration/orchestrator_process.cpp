#include "tests/integration/orchestrator_process.hpp"

#include "tests/support/catch.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

extern char** environ;

namespace tayga::test {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr auto kPollInterval = std::chrono::milliseconds{10};

std::string read_file(const fs::path& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

}  // namespace

OrchestratorProcess::OrchestratorProcess(const std::vector<std::string>& arguments,
                                         const Environment& environment) {
  std::vector<std::string> command{TAYGA_ORCHESTRATOR_PROGRAM};
  command.insert(command.end(), arguments.begin(), arguments.end());
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) variables.emplace_back(*entry);
  for (const auto& [name, value] : environment) variables.push_back(name + "=" + value);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  const std::string out = folder_.path() / "out";
  const std::string err = folder_.path() / "err";
  constexpr int kFlags = O_WRONLY | O_CREAT | O_APPEND;
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, out.c_str(), kFlags, 0600);
  posix_spawn_file_actions_addopen(&files, 2, err.c_str(), kFlags, 0600);
  const int error = posix_spawn(&pid_, command[0].c_str(), &files, nullptr,
                                pointers(command).data(), pointers(variables).data());
  posix_spawn_file_actions_destroy(&files);
  REQUIRE(error == 0);
}

OrchestratorProcess::~OrchestratorProcess() {
  if (reap(false)) return;
  signal(SIGKILL);
  reap(true);
}

void OrchestratorProcess::signal(int number) const {
  ::kill(pid_, number);
}

bool OrchestratorProcess::reap(bool block) {
  while (!reaped_) {
    const pid_t got = waitpid(pid_, &status_, block ? 0 : WNOHANG);
    if (got == pid_) reaped_ = true;
    if (got == 0) return false;
    if (got < 0 && errno != EINTR) return true;
  }
  return true;
}

Finished OrchestratorProcess::wait(std::chrono::seconds limit) {
  const auto deadline = Clock::now() + limit;
  while (!reap(false) && Clock::now() < deadline) std::this_thread::sleep_for(kPollInterval);
  if (!reaped_) {
    signal(SIGKILL);
    reap(true);
  }
  const int code = WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
  return {code, read_file(folder_.path() / "out"), read_err()};
}

std::string OrchestratorProcess::read_err() const {
  return read_file(folder_.path() / "err");
}

bool OrchestratorProcess::wait_for_err(const std::string& text, std::chrono::seconds limit) {
  const auto deadline = Clock::now() + limit;
  while (Clock::now() < deadline) {
    if (read_err().find(text) != std::string::npos) return true;
    if (reap(false)) return read_err().find(text) != std::string::npos;
    std::this_thread::sleep_for(kPollInterval);
  }
  return false;
}

Finished run_orchestrator(const std::vector<std::string>& arguments,
                          const OrchestratorProcess::Environment& environment) {
  OrchestratorProcess process{arguments, environment};
  return process.wait();
}

RunningOrchestrator::RunningOrchestrator() : port_{free_port()}, http_port_{free_port()} {
  const Finished made = run_orchestrator({"init", "--state", state(), "--address", address()});
  INFO(made.err);
  REQUIRE(made.exit_code == 0);
}

RunningOrchestrator::~RunningOrchestrator() {
  if (process_ == nullptr) return;
  const Finished finished = stop(SIGTERM);
  INFO(finished.err);
  CHECK(finished.exit_code == 0);
}

void RunningOrchestrator::start() {
  process_ = std::make_unique<OrchestratorProcess>(
      std::vector<std::string>{"serve", "--state", state(), "--listen", address(), "--http",
                               "127.0.0.1:" + std::to_string(http_port_)});
  const bool serving = process_->wait_for_err("serving");
  INFO(process_->read_err());
  REQUIRE(serving);
}

Finished RunningOrchestrator::stop(int signal_number) {
  process_->signal(signal_number);
  Finished finished = process_->wait();
  process_.reset();
  return finished;
}

Finished RunningOrchestrator::verb(std::vector<std::string> arguments) const {
  arguments.insert(arguments.end(), {"--socket", socket()});
  return run_orchestrator(arguments);
}

RunningOrchestrator::HttpAnswer RunningOrchestrator::get(const std::string& path,
                                                         const std::string& method) const {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(fd >= 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(http_port_);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  HttpAnswer answer;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0) {
    const std::string request =
        method + " " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    REQUIRE(::write(fd, request.data(), request.size()) == static_cast<ssize_t>(request.size()));
    std::string text;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::read(fd, buffer, sizeof buffer)) > 0;) {
      text.append(buffer, static_cast<std::size_t>(n));
    }
    const auto split = text.find("\r\n\r\n");
    REQUIRE(split != std::string::npos);
    answer.head = text.substr(0, split);
    answer.body = text.substr(split + 4);
    std::istringstream{text.substr(9)} >> answer.status;
  }
  ::close(fd);
  return answer;
}

std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(fd >= 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
  REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) == 0);
  ::close(fd);
  return ntohs(at.sin_port);
}

}  // namespace tayga::test
