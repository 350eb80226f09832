#pragma once

#include "common/log/site_limit.hpp"

#include <atomic>
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

/// One line of logfmt per event on stderr:
/// `time=2026-01-02T03:04:05.678Z level=info area=relay msg="session up" peer=abcdefgh rtt_ms=12`.
///
/// The area is the folder of the calling source file, so no site has to name it. Any thread may
/// log; a line is written at once and whole. A disabled level costs one relaxed load.
namespace tayga::log {

enum class Level : std::uint8_t { trace, debug, info, warn, error, off };

std::string_view to_string(Level level) noexcept;
/// nullopt unless `text` is one of trace, debug, info, warn, error, off (any case).
std::optional<Level> parse_level(std::string_view text) noexcept;

namespace detail {
inline std::atomic<Level> current_level{Level::info};
}  // namespace detail

inline bool enabled(Level level) noexcept {
  return level >= detail::current_level.load(std::memory_order_relaxed);
}
/// Takes effect at once in every thread; messages below `level` are dropped.
inline void set_level(Level level) noexcept {
  detail::current_level.store(level, std::memory_order_relaxed);
}
inline Level level() noexcept {
  return detail::current_level.load(std::memory_order_relaxed);
}

/// Sees each whole line, without its newline.
using Sink = std::function<void(Level, std::string_view line)>;
/// Sends lines to `sink` instead of stderr; an empty one restores stderr. For tests and tools.
void set_sink(Sink sink);

/// One key=value of a line. Borrows: valid only inside the statement that made it.
class Field {
 public:
  using Lazy = std::pair<const void*, std::string (*)(const void*)>;
  using Value = std::variant<std::string_view, std::int64_t, std::uint64_t, double, bool, Lazy>;

  Field(std::string_view key, Value value) noexcept : key_{key}, value_{value} {}

  [[nodiscard]] std::string_view key() const noexcept { return key_; }
  [[nodiscard]] const Value& value() const noexcept { return value_; }

 private:
  std::string_view key_;
  Value value_;
};

template <class T>
concept Renders =
    std::invocable<const T&> && std::convertible_to<std::invoke_result_t<const T&>, std::string>;

template <class T>
requires(std::convertible_to<const T&, std::string_view> || std::is_arithmetic_v<T>) Field
    field(std::string_view key, const T& value)
noexcept {
  if constexpr (std::same_as<T, bool>) {
    return {key, Field::Value{std::in_place_type<bool>, value}};
  } else if constexpr (std::floating_point<T>) {
    return {key, static_cast<double>(value)};
  } else if constexpr (std::signed_integral<T>) {
    return {key, static_cast<std::int64_t>(value)};
  } else if constexpr (std::unsigned_integral<T>) {
    return {key, static_cast<std::uint64_t>(value)};
  } else {
    return {key, std::string_view{value}};
  }
}

/// A value that costs something to make, such as `[&] { return to_string(id); }`: the function runs
/// only when the line is written.
template <Renders T>
Field field(std::string_view key, const T& make) noexcept {
  const auto render = [](const void* context) -> std::string {
    return (*static_cast<const T*>(context))();
  };
  return {key, Field::Lazy{&make, render}};
}

/// Anything with a `message()`, such as an error_code.
template <class T>
requires requires(const T& error) {
  { error.message() } -> std::convertible_to<std::string>;
}
Field field(std::string_view key, const T& error) noexcept {
  const auto render = [](const void* context) -> std::string {
    return static_cast<const T*>(context)->message();
  };
  return {key, Field::Lazy{&error, render}};
}

/// The text of a message and the place it comes from; made by the conversion at the call.
struct Message {
  template <std::convertible_to<std::string_view> T>
  Message(const T& message,  // NOLINT: implicit so that the default argument sees the caller
          std::source_location site = std::source_location::current()) noexcept
      : text{message}, file{site.file_name()} {}

  std::string_view text;
  std::string_view file;
};

/// Writes without asking whether `level` is enabled.
void write(Level level, const Message& message, std::span<const Field> fields);

template <std::same_as<Field>... Fields>
void at(Level level, const Message& message, const Fields&... fields) {
  if (!enabled(level)) return;
  const std::initializer_list<Field> list{fields...};
  write(level, message, {list.begin(), list.size()});
}

template <std::same_as<Field>... Fields>
void trace(const Message& message, const Fields&... fields) {
  at(Level::trace, message, fields...);
}
template <std::same_as<Field>... Fields>
void debug(const Message& message, const Fields&... fields) {
  at(Level::debug, message, fields...);
}
template <std::same_as<Field>... Fields>
void info(const Message& message, const Fields&... fields) {
  at(Level::info, message, fields...);
}
template <std::same_as<Field>... Fields>
void warn(const Message& message, const Fields&... fields) {
  at(Level::warn, message, fields...);
}
template <std::same_as<Field>... Fields>
void error(const Message& message, const Fields&... fields) {
  at(Level::error, message, fields...);
}

/// As at(), but within the site's limit; the first line after a silence carries `suppressed=N`.
/// For everything a stranger can trigger: `static log::SiteLimit limit{5, 60s};` beside the call.
template <std::same_as<Field>... Fields>
void at(SiteLimit& limit, Level level, const Message& message, const Fields&... fields) {
  if (!enabled(level)) return;
  const std::optional<std::uint64_t> suppressed = limit.admit_now();
  if (!suppressed) return;
  if (*suppressed == 0) return at(level, message, fields...);
  at(level, message, fields..., field("suppressed", *suppressed));
}

}  // namespace tayga::log
