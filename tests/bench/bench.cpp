#include "tests/bench/bench.hpp"

#include "common/base/check.hpp"

#include <charconv>
#include <ctime>
#include <stdexcept>
#include <utility>

namespace tayga::bench {
namespace {

template <class Number>
Number parse_number(const std::string& key, const std::string& text) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [rest, ec] = std::from_chars(text.data(), end, value);
  if (ec != std::errc{} || rest != end) {
    throw std::invalid_argument{"--" + key + " '" + text + "' is not a number"};
  }
  return value;
}

}  // namespace

const std::string* Args::find(const std::string& key) const {
  asked_[key] = true;
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

double Args::number(const std::string& key, double fallback) const {
  const std::string* text = find(key);
  return text == nullptr ? fallback : parse_number<double>(key, *text);
}

std::uint64_t Args::count(const std::string& key, std::uint64_t fallback) const {
  const std::string* text = find(key);
  return text == nullptr ? fallback : parse_number<std::uint64_t>(key, *text);
}

std::string Args::text(const std::string& key, std::string fallback) const {
  const std::string* text = find(key);
  return text == nullptr ? std::move(fallback) : *text;
}

bool Args::flag(const std::string& key) const {
  const std::string* text = find(key);
  if (text != nullptr && !text->empty()) {
    throw std::invalid_argument{"--" + key + " takes no value, not '" + *text + "'"};
  }
  return text != nullptr;
}

std::string Args::unknown_key() const {
  for (const auto& [key, value] : values_) {
    if (!asked_.contains(key)) return key;
  }
  return {};
}

double thread_cpu_seconds() {
  timespec now{};
  TAYGA_CHECK(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace tayga::bench
