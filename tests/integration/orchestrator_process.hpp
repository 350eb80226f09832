#pragma once

#include "tests/support/temporary_folder.hpp"

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace tayga::test {

struct Finished {
  int exit_code = -1;  ///< 128 + signal when killed
  std::string out;
  std::string err;
};

/// One run of the tayga-orchestrator of this build (macro TAYGA_ORCHESTRATOR_PROGRAM).
class OrchestratorProcess {
 public:
  using Environment = std::map<std::string, std::string>;
  explicit OrchestratorProcess(const std::vector<std::string>& arguments,
                               const Environment& environment = {});
  ~OrchestratorProcess();  ///< kills and reaps it when it still runs
  OrchestratorProcess(const OrchestratorProcess&) = delete;
  OrchestratorProcess& operator=(const OrchestratorProcess&) = delete;

  void signal(int number) const;
  /// Waits for its end; kills it after `limit`.
  Finished wait(std::chrono::seconds limit = std::chrono::seconds{60});
  [[nodiscard]] std::string read_err() const;
  /// False when it ended or the text did not come within `limit`.
  [[nodiscard]] bool wait_for_err(const std::string& text,
                                  std::chrono::seconds limit = std::chrono::seconds{60});

 private:
  bool reap(bool block);

  TemporaryFolder folder_;
  pid_t pid_ = -1;
  int status_ = 0;
  bool reaped_ = false;
};

Finished run_orchestrator(const std::vector<std::string>& arguments,
                          const OrchestratorProcess::Environment& environment = {});

/// A network made by `init`, and the orchestrator that serves it on free loopback ports.
class RunningOrchestrator {
 public:
  RunningOrchestrator();
  /// A sanitizer's findings show in the exit code, so the end in order is a check of every test.
  ~RunningOrchestrator();
  RunningOrchestrator(const RunningOrchestrator&) = delete;
  RunningOrchestrator& operator=(const RunningOrchestrator&) = delete;
  void start();
  Finished stop(int signal_number);

  [[nodiscard]] std::string state() const { return folder_.path() / "state"; }
  [[nodiscard]] std::string socket() const {
    return folder_.path() / "state" / "orchestrator.sock";
  }
  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  /// A verb over the administrators' socket.
  [[nodiscard]] Finished verb(std::vector<std::string> arguments) const;
  /// Body of a GET; the status line decides success. Empty when refused.
  struct HttpAnswer {
    int status = 0;
    std::string body;
    std::string head;
  };
  [[nodiscard]] HttpAnswer get(const std::string& path, const std::string& method = "GET") const;

 private:
  TemporaryFolder folder_;
  std::uint16_t port_ = 0;
  std::uint16_t http_port_ = 0;
  std::unique_ptr<OrchestratorProcess> process_;
};

/// A loopback TCP port that was free a moment ago.
std::uint16_t free_port();

}  // namespace tayga::test
