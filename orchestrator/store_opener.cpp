#include "orchestrator/store_opener.hpp"

#include "orchestrator/keys/startup_error.hpp"
#include "orchestrator/store/rocksdb_ledger.hpp"

#include <utility>
#include <variant>

namespace tayga::orch {
namespace {

ExitCode to_exit_code(const error_code& error) {
  if (error == StoreErrc::locked) return ExitCode::unavailable;
  if (error == StoreErrc::no_permission) return ExitCode::no_permission;
  if (error == StoreErrc::newer_version) return ExitCode::config;
  return ExitCode::failed;
}

}  // namespace

std::unique_ptr<LedgerStore> open_store(const std::filesystem::path& state_dir) {
  RocksdbLedger::OpenResult opened = RocksdbLedger::open(state_dir / "store");
  if (const auto* error = std::get_if<StoreOpenError>(&opened)) {
    throw StartupError{to_exit_code(error->code), error->message};
  }
  return std::get<std::unique_ptr<RocksdbLedger>>(std::move(opened));
}

}  // namespace tayga::orch
