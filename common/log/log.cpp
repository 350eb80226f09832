#include "common/log/log.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <charconv>
#include <cmath>
#include <memory>
#include <mutex>

namespace tayga::log {
namespace {

constexpr std::array<std::string_view, 6> kLevelNames{"trace", "debug", "info",
                                                      "warn",  "error", "off"};

spdlog::level::level_enum to_spdlog(Level level) noexcept {
  switch (level) {
    case Level::trace:
      return spdlog::level::trace;
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warn:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
    case Level::off:
      return spdlog::level::off;
  }
  return spdlog::level::off;
}

Level from_spdlog(spdlog::level::level_enum level) noexcept {
  switch (level) {
    case spdlog::level::trace:
      return Level::trace;
    case spdlog::level::debug:
      return Level::debug;
    case spdlog::level::info:
      return Level::info;
    case spdlog::level::warn:
      return Level::warn;
    case spdlog::level::err:
      return Level::error;
    case spdlog::level::critical:
      return Level::error;
    case spdlog::level::off:
      break;
    case spdlog::level::n_levels:
      break;
  }
  return Level::off;
}

class FunctionSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FunctionSink(Sink function) : function_{std::move(function)} {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    function_(from_spdlog(message.level), {line.data(), line.size()});
  }
  void flush_() override {}

  Sink function_;
};

std::shared_ptr<spdlog::logger> make_logger(spdlog::sink_ptr sink, std::string_view line_end) {
  auto logger = std::make_shared<spdlog::logger>("tayga", std::move(sink));
  logger->set_level(spdlog::level::trace);  // our own level decides before spdlog is asked
  logger->set_formatter(std::make_unique<spdlog::pattern_formatter>(
      "time=%Y-%m-%dT%H:%M:%S.%eZ %v", spdlog::pattern_time_type::utc, std::string{line_end}));
  return logger;
}

std::shared_ptr<spdlog::logger> make_stderr_logger() {
  return make_logger(std::make_shared<spdlog::sinks::stderr_sink_mt>(), "\n");
}

struct Output {
  std::mutex mutex;  // guards logger: replaced by set_sink() while others write
  std::shared_ptr<spdlog::logger> logger = make_stderr_logger();
};

/// Never destroyed: objects that log in their destructors may outlive any static.
Output& output() {
  static auto* const instance = new Output;
  return *instance;
}

std::shared_ptr<spdlog::logger> current_logger() {
  Output& out = output();
  const std::scoped_lock lock{out.mutex};
  return out.logger;
}

/// ".../common/http/server.cpp" -> "http".
std::string_view area_of(std::string_view file) noexcept {
  const auto name = file.rfind('/');
  if (name == std::string_view::npos) return "main";
  const auto folder = file.rfind('/', name - 1);
  const auto begin = folder == std::string_view::npos ? 0 : folder + 1;
  return file.substr(begin, name - begin);
}

bool needs_quotes(std::string_view text) noexcept {
  if (text.empty()) return true;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (u <= ' ' || u == 0x7f || c == '"' || c == '=' || c == '\\') return true;
  }
  return false;
}

/// A stranger's text can neither end the line nor forge a field.
void append_text(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  if (!needs_quotes(text)) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (u < ' ' || u == 0x7f) {
      out += "\\x";
      out += kHex[u >> 4U];
      out += kHex[u & 15U];
    } else {
      out += c;
    }
  }
  out += '"';
}

template <class Number>
void append_number(std::string& out, Number value) {
  std::array<char, 32> digits{};
  std::to_chars_result end{};
  if constexpr (std::floating_point<Number>) {
    end = std::to_chars(digits.data(), digits.data() + digits.size(), value,
                        std::chars_format::general, 6);
  } else {
    end = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  }
  out.append(digits.data(), end.ptr);
}

void append_field(std::string& out, const Field& field) {
  out += ' ';
  out += field.key();
  out += '=';
  const Field::Value& value = field.value();
  if (const auto* text = std::get_if<std::string_view>(&value)) append_text(out, *text);
  if (const auto* number = std::get_if<std::int64_t>(&value)) append_number(out, *number);
  if (const auto* number = std::get_if<std::uint64_t>(&value)) append_number(out, *number);
  if (const auto* number = std::get_if<double>(&value)) append_number(out, *number);
  if (const auto* flag = std::get_if<bool>(&value)) out += *flag ? "true" : "false";
  if (const auto* lazy = std::get_if<Field::Lazy>(&value)) {
    append_text(out, lazy->second(lazy->first));
  }
}

}  // namespace

std::string_view to_string(Level level) noexcept {
  return kLevelNames[static_cast<std::size_t>(level)];
}

std::optional<Level> parse_level(std::string_view text) noexcept {
  const auto equal_ignoring_case = [](std::string_view a, std::string_view lower) {
    if (a.size() != lower.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
      const char c = a[i] >= 'A' && a[i] <= 'Z' ? static_cast<char>(a[i] - 'A' + 'a') : a[i];
      if (c != lower[i]) return false;
    }
    return true;
  };
  for (std::size_t i = 0; i < kLevelNames.size(); ++i) {
    if (equal_ignoring_case(text, kLevelNames[i])) return static_cast<Level>(i);
  }
  return std::nullopt;
}

void set_sink(Sink sink) {
  auto logger = sink ? make_logger(std::make_shared<FunctionSink>(std::move(sink)), "")
                     : make_stderr_logger();
  Output& out = output();
  const std::scoped_lock lock{out.mutex};
  out.logger = std::move(logger);
}

void write(Level level, const Message& message, std::span<const Field> fields) {
  std::string line;
  line.reserve(128);
  line += "level=";
  line += to_string(level);
  line += " area=";
  line += area_of(message.file);
  line += " msg=";
  append_text(line, message.text);
  for (const Field& field : fields) append_field(line, field);
  current_logger()->log(to_spdlog(level), line);
}

}  // namespace tayga::log
