#pragma once

#include "common/base/exit_code.hpp"
#include "daemon/daemon_config.hpp"

#include <memory>
#include <string>

namespace tayga {

/// taygad's composition root: builds every part in the order of the data flow, connects them, runs
/// until SIGTERM or SIGINT, and takes them down in order.
class App {
 public:
  /// Why the daemon could not start: one message for its owner, and the exit code. Thrown.
  struct StartError {
    ExitCode exit_code;
    std::string message;
  };
  explicit App(DaemonConfig config);
  ~App();

  /// Blocks until the daemon was told to end and everything has ended in order.
  void run();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tayga
