#pragma once

#include "common/async/task.hpp"
#include "orchestrator/app/store_thread.hpp"
#include "orchestrator/app/world_loop.hpp"
#include "orchestrator/keys/startup_error.hpp"

#include <string>
#include <string_view>

namespace tayga::orch {

/// What a verb answers: JSON when `exit_code` is ok, a message for a person otherwise.
struct VerbReply {
  ExitCode exit_code = ExitCode::ok;
  std::string text;
};

/// The operator's verbs, as `serve` does them for whoever may open its socket.
///
/// Runs on the front thread. `arguments` is a JSON object; each verb names its members:
///   stream.add   name, stripes, gateway, origin, window_ms     stream.rm   name
///   stream.ls    node.ls    health                             ledger.show node
class AdminVerbs {
 public:
  /// The references outlive it.
  AdminVerbs(WorldLoop& world, StoreThread& store) : world_{world}, store_{store} {}

  async::Task<VerbReply> run(std::string verb, std::string arguments);
  /// Empty when all is well; otherwise what is wrong, in words. Any thread.
  [[nodiscard]] std::string trouble() const;

 private:
  async::Task<VerbReply> add_stream(std::string arguments);
  async::Task<VerbReply> remove_stream(std::string arguments);
  async::Task<VerbReply> show_ledger(std::string arguments);
  [[nodiscard]] VerbReply health() const;

  WorldLoop& world_;
  StoreThread& store_;
};

/// A new ingest key: 160 random bits in base32.
std::string make_ingest_key();

}  // namespace tayga::orch
