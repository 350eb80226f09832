#include "daemon/core/duplicate_budget.hpp"

#include "tests/support/catch.hpp"

#include <cstdint>

using tayga::relay::DuplicateBudget;

TEST_CASE("a node that has just joined may ask on suspicion, for a bounded number of bytes") {
  DuplicateBudget budget;
  CHECK(budget.may_speculate());
  budget.on_duplicate(static_cast<std::size_t>(DuplicateBudget::kStart) - 1);
  CHECK(budget.may_speculate());
  budget.on_duplicate(1);
  CHECK_FALSE(budget.may_speculate());
}

TEST_CASE("what comes in small pieces earns as much as what comes in large ones") {
  DuplicateBudget budget;
  budget.on_duplicate(static_cast<std::size_t>(DuplicateBudget::kStart));
  for (int i = 0; i < 49; ++i) budget.on_new(1);
  CHECK_FALSE(budget.may_speculate());
  budget.on_new(1);
  CHECK(budget.may_speculate());
}

TEST_CASE("neither credit nor debt grows without end") {
  DuplicateBudget saved;
  saved.on_new(std::size_t{1} << 40);
  saved.on_duplicate(static_cast<std::size_t>(DuplicateBudget::kCredit));
  CHECK_FALSE(saved.may_speculate());

  DuplicateBudget owed;
  owed.on_duplicate(std::size_t{1} << 40);
  const std::int64_t needed = DuplicateBudget::kCredit * 1000 / DuplicateBudget::kSharePermille;
  owed.on_new(static_cast<std::size_t>(needed));
  CHECK_FALSE(owed.may_speculate());
  owed.on_new(1000);
  CHECK(owed.may_speculate());
}

TEST_CASE("who asks whenever it may gets less than 3 % twice in the long run") {
  DuplicateBudget budget;
  std::uint64_t fresh = 0;
  std::uint64_t twice = 0;
  for (int i = 0; i < 100'000; ++i) {
    budget.on_new(5'000);
    fresh += 5'000;
    if (!budget.may_speculate()) continue;
    budget.on_duplicate(80'000);
    twice += 80'000;
  }
  CHECK(twice * 100 <= fresh * 3);
  CHECK(twice * 100 >= fresh);
}
