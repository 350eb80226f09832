#pragma once

#include "common/base/time.hpp"
#include "common/config/document.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace tayga::config {

/// What should have been written instead: `write a rate such as "10mbit"`.
struct Wanted {
  std::string text;
};

template <class T>
using Converted = std::variant<T, Wanted>;

template <class T>
struct Range {
  T min;
  T max;
};

/// Each kind of setting converts from a value of the file and from the text of a flag or variable.
struct AsString {
  using Value = std::string;
  static Converted<Value> from(const Node& node);
  static Converted<Value> from(std::string_view text);
  static std::string to_toml(const Value& value);
};

struct AsBool {
  using Value = bool;
  static Converted<Value> from(const Node& node);
  static Converted<Value> from(std::string_view text);
  static std::string to_toml(const Value& value);
};

struct AsInteger {
  using Value = std::int64_t;
  Range<Value> range;
  [[nodiscard]] Converted<Value> from(const Node& node) const;
  [[nodiscard]] Converted<Value> from(std::string_view text) const;
  static std::string to_toml(const Value& value);

 private:
  [[nodiscard]] Converted<Value> checked(Value value) const;
};

/// One of a few words.
struct AsChoice {
  using Value = std::string;
  std::vector<std::string> words;
  [[nodiscard]] Converted<Value> from(const Node& node) const;
  [[nodiscard]] Converted<Value> from(std::string_view text) const;
  static std::string to_toml(const Value& value);
};

/// Bits per second.
struct AsRate {
  using Value = std::uint64_t;
  Range<Value> range;
  [[nodiscard]] Converted<Value> from(const Node& node) const;
  [[nodiscard]] Converted<Value> from(std::string_view text) const;
  static std::string to_toml(const Value& value);
};

/// Bytes.
struct AsSize {
  using Value = std::uint64_t;
  Range<Value> range;
  [[nodiscard]] Converted<Value> from(const Node& node) const;
  [[nodiscard]] Converted<Value> from(std::string_view text) const;
  static std::string to_toml(const Value& value);
};

struct AsDuration {
  using Value = Duration;
  Range<Value> range;
  [[nodiscard]] Converted<Value> from(const Node& node) const;
  [[nodiscard]] Converted<Value> from(std::string_view text) const;
  static std::string to_toml(const Value& value);
};

/// A list of strings; as text, separated by commas.
struct AsStrings {
  using Value = std::vector<std::string>;
  static Converted<Value> from(const Node& node);
  static Converted<Value> from(std::string_view text);
  static std::string to_toml(const Value& value);
};

}  // namespace tayga::config
