#include "common/config/document.hpp"

#include <algorithm>
#include <array>
#include <optional>
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

/// Steps over TOML's lexical shell: comments and the four kinds of strings.
class ShellScanner {
 public:
  explicit ShellScanner(std::string_view text) noexcept : text_{text} {}

  /// The first character beyond ASCII that stands outside comments and strings. TOML has no place
  /// for it, and toml++ 3.3 runs into an unreachable point when it meets one there.
  std::optional<Place> find_stray() noexcept {
    if (text_.starts_with("\xef\xbb\xbf")) at_ = 3;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (static_cast<unsigned char>(c) >= 0x80) return place();
      if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (c == '"' || c == '\'') {
        skip_string(c);
      } else {
        ++at_;
      }
    }
    return std::nullopt;
  }

 private:
  void skip_string(char quote) noexcept {
    const std::array three{quote, quote, quote};
    const std::string_view fence{three.data(), three.size()};
    const bool many_lines = text_.substr(at_).starts_with(fence);
    at_ += many_lines ? 3 : 1;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '\\' && quote == '"') {
        ++at_;
      } else if (!many_lines && (c == quote || c == '\n')) {
        ++at_;
        return;
      } else if (many_lines && text_.substr(at_).starts_with(fence)) {
        at_ += 3;
        // Up to two quotes more belong to the text before the fence.
        for (int i = 0; i < 2 && at_ < text_.size() && text_[at_] == quote; ++i) ++at_;
        return;
      }
    }
  }

  [[nodiscard]] Place place() const noexcept {
    const std::string_view before = text_.substr(0, at_);
    const auto line_begin = before.rfind('\n') + 1;  // npos + 1 is the beginning
    return Place{static_cast<std::uint32_t>(std::ranges::count(before, '\n') + 1),
                 static_cast<std::uint32_t>(at_ - line_begin + 1)};
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

Document parse_document(std::string_view text) {
  Document out;
  if (text.size() > kDocumentSizeMax) {
    out.problem = "the file is larger than 1 MiB";
    return out;
  }
  if (const auto stray = ShellScanner{text}.find_stray()) {
    out.problem = "line " + std::to_string(stray->line) + ", column " +
                  std::to_string(stray->column) +
                  ": a character beyond ASCII stands outside quotes; put the text into quotes";
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
