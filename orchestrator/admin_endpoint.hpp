#pragma once

#include "common/admin/server.hpp"
#include "common/async/task.hpp"
#include "orchestrator/app/admin_verbs.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <filesystem>

namespace tayga::orch {

/// The administrators' socket: hands each command to AdminVerbs. Front thread.
class AdminEndpoint {
 public:
  /// `verbs` outlives it.
  AdminEndpoint(const boost::asio::any_io_executor& executor, std::filesystem::path socket,
                AdminVerbs& verbs);
  void listen();  ///< Throws StartupError.
  async::Task<void> stop();

 private:
  const std::filesystem::path socket_;
  admin::Server server_;
};

}  // namespace tayga::orch
