#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace tayga::config {

/// Where something stands in a file; lines and columns count from 1.
struct Place {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  friend bool operator==(Place, Place) = default;
};

struct Entry;

/// A TOML value, free of the parser's types.
struct Node {
  using List = std::vector<Node>;
  using Table = std::vector<Entry>;  // in the order of their keys
  /// What no setting of ours is: a date or a time; the text names which.
  struct Other {
    std::string kind;
  };

  std::variant<bool, std::int64_t, double, std::string, List, Table, Other> value;
  Place place;

  [[nodiscard]] const Table* table() const noexcept { return std::get_if<Table>(&value); }
  [[nodiscard]] const List* list() const noexcept { return std::get_if<List>(&value); }
};

struct Entry {
  std::string key;
  Place key_place;
  Node node;
};

inline constexpr std::size_t kDocumentSizeMax = 1024 * 1024;

struct Document {
  Node::Table root;
  /// Not empty: the text is not TOML, and root is empty. "line 3, column 5: ..." for people.
  std::string problem;
};

/// Parses TOML 1.0. Never throws; nesting is bounded by the parser.
Document parse_document(std::string_view text);

/// The entry of that key; nullptr when there is none.
const Entry* find(const Node::Table& table, std::string_view key) noexcept;

/// A value in TOML's words for a message: `"10mbit"`, `7`, `a list`.
std::string describe(const Node& node);
/// A string as TOML writes it.
std::string quoted(std::string_view text);

}  // namespace tayga::config
