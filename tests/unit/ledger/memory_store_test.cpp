#include "tests/support/catch.hpp"
#include "tests/support/ledger_store_conformance.hpp"
#include "tests/support/memory_ledger_store.hpp"

TEST_CASE("the store in memory does what every store must do") {
  tayga::test::MemoryLedgerStore store;
  tayga::test::check_ledger_store([&]() -> tayga::orch::LedgerStore& { return store; });
}
