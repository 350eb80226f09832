#include "common/config/document.hpp"

#include <stdexcept>

namespace tayga::config {
namespace {

/// What the parser takes for impossible and input can reach all the same (toml++ 3.3: `[[ = 1`).
struct ParserConfused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[noreturn]] void throw_confused() {
  throw ParserConfused{"a key or a section has no name, or is broken in another way"};
}

}  // namespace
}  // namespace tayga::config

// Without its assertions the parser would rather assume that they hold, in release builds.
#undef NDEBUG
#define TOML_ASSERT(expr) ((expr) ? void(0) : ::tayga::config::throw_confused())
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 1
#define TOML_ENABLE_FORMATTERS 0
#define TOML_ENABLE_WINDOWS_COMPAT 0
#include <toml++/toml.h>

namespace tayga::config {
namespace {

Place to_place(const toml::source_position& position) {
  return Place{static_cast<std::uint32_t>(position.line),
               static_cast<std::uint32_t>(position.column)};
}

std::string place_text(const toml::source_position& position) {
  return "line " + std::to_string(position.line) + ", column " + std::to_string(position.column);
}

Node to_node(const toml::node& node);

Node::Table to_table(const toml::table& table) {
  Node::Table out;
  out.reserve(table.size());
  for (const auto& [key, value] : table) {
    out.push_back(Entry{std::string{key.str()}, to_place(key.source().begin), to_node(value)});
  }
  return out;
}

/// Recursion: bounded, since the parser refuses more than TOML_MAX_NESTED_VALUES (256) levels.
Node to_node(const toml::node& node) {
  Node out;
  out.place = to_place(node.source().begin);
  if (const auto* table = node.as_table()) {
    out.value = to_table(*table);
  } else if (const auto* array = node.as_array()) {
    Node::List list;
    list.reserve(array->size());
    for (const toml::node& item : *array) list.push_back(to_node(item));
    out.value = std::move(list);
  } else if (const auto* text = node.as_string()) {
    out.value = text->get();
  } else if (const auto* integer = node.as_integer()) {
    out.value = integer->get();
  } else if (const auto* number = node.as_floating_point()) {
    out.value = number->get();
  } else if (const auto* flag = node.as_boolean()) {
    out.value = flag->get();
  } else {
    out.value = Node::Other{node.is_time() ? "a time" : "a date"};
  }
  return out;
}

}  // namespace

Document parse_document(std::string_view text) {
  Document out;
  if (text.size() > kDocumentSizeMax) {
    out.problem = "the file is larger than 1 MiB";
    return out;
  }
  try {
    out.root = to_table(toml::parse(text));
  } catch (const toml::parse_error& error) {
    out.problem = place_text(error.source().begin) + ": " + std::string{error.description()};
  } catch (const ParserConfused& confused) {
    out.problem = confused.what();
  }
  return out;
}

const Entry* find(const Node::Table& table, std::string_view key) noexcept {
  for (const Entry& entry : table) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

std::string quoted(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (u < ' ' || u == 0x7f) {
      out += "\\u00";
      out += kHex[u >> 4U];
      out += kHex[u & 15U];
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string describe(const Node& node) {
  if (const auto* text = std::get_if<std::string>(&node.value)) return quoted(*text);
  if (const auto* integer = std::get_if<std::int64_t>(&node.value)) return std::to_string(*integer);
  if (const auto* flag = std::get_if<bool>(&node.value)) return *flag ? "true" : "false";
  if (const auto* other = std::get_if<Node::Other>(&node.value)) return other->kind;
  if (std::holds_alternative<double>(node.value)) return "a fraction";
  return node.list() != nullptr ? "a list" : "a table";
}

}  // namespace tayga::config
