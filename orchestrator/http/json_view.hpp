#pragma once

#include "common/base/result.hpp"
#include "orchestrator/ledger/ledger_store.hpp"
#include "orchestrator/registry/world.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tayga::orch {

inline constexpr std::size_t kPageSizeDefault = 100;
inline constexpr std::size_t kPageSizeMax = 1000;

/// Which part of a list: opaque to clients, who get the next token with each page.
struct Page {
  std::size_t begin = 0;
  std::size_t size = kPageSizeDefault;
};
inline constexpr Page kWholeList{0, static_cast<std::size_t>(-1)};
/// nullopt when a value is no number or the size is not 1..kPageSizeMax.
std::optional<Page> parse_page(std::optional<std::string_view> size,
                               std::optional<std::string_view> token);

// Each returns one JSON object: the list under its name, and next_page_token when there is more.
// Pure. Rates in bit/s, times as their names say, ids in base32.
std::string nodes_json(const World::Snapshot& world, Page page);
std::string links_json(const World::Snapshot& world, Page page);
std::string streams_json(const World::Snapshot& world, Page page);
std::string balances_json(const std::vector<Balance>& balances, const LedgerStore::Totals& totals,
                          Page page);
/// One node's newest accounts, as sender.
std::string accounts_json(const std::vector<Account>& accounts);

/// RFC 9457.
std::string problem_json(unsigned status, std::string_view title, std::string_view detail);

}  // namespace tayga::orch
