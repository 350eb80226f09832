#include "orchestrator/app/ledger_reader.hpp"

#include "orchestrator/app/ask.hpp"

namespace tayga::orch {

async::Task<Result<std::pair<std::vector<Balance>, LedgerStore::Totals>>> read_ledger(
    StoreThread& store) {
  using View = Result<LedgerView>;
  using Answer = Result<std::pair<std::vector<Balance>, LedgerStore::Totals>>;
  const std::function<bool(std::function<void(View)>)> start = [&store](auto done) {
    return store.read_ledger(std::move(done));
  };
  const std::optional<View> view = co_await ask<View>(start);
  if (!view) {
    const Answer busy{
        boost::system::errc::make_error_code(boost::system::errc::resource_unavailable_try_again)};
    co_return busy;
  }
  if (!*view) {
    const Answer failed{view->error()};
    co_return failed;
  }
  Answer read{boost::system::in_place_value, (*view)->balances, (*view)->totals};
  co_return read;
}

}  // namespace tayga::orch
