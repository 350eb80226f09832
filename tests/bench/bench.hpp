#pragma once

#include <boost/json/object.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <utility>

namespace tayga::bench {

/// The `--key value` pairs and bare `--key`s (empty values) after a bench's name. Each getter marks
/// its key as known, so that main() can refuse the misspelt rest.
class Args {
 public:
  Args() = default;
  explicit Args(std::map<std::string, std::string> values) : values_{std::move(values)} {}

  /// `fallback` when absent. Throws std::invalid_argument, worded for the user, when not a number.
  [[nodiscard]] double number(const std::string& key, double fallback) const;
  [[nodiscard]] std::uint64_t count(const std::string& key, std::uint64_t fallback) const;
  [[nodiscard]] std::string text(const std::string& key, std::string fallback) const;
  /// `--key` without a value. Throws std::invalid_argument when it has one.
  [[nodiscard]] bool flag(const std::string& key) const;

  /// A key that no getter asked for; empty when there is none.
  [[nodiscard]] std::string unknown_key() const;

 private:
  [[nodiscard]] const std::string* find(const std::string& key) const;

  std::map<std::string, std::string> values_;
  mutable std::map<std::string, bool> asked_;
};

/// Runs, prints text for people on stdout and returns the figures: numbers with their unit last in
/// the name.
using BenchFunction = boost::json::object (*)(const Args& args);

/// What one measured operation cost.
struct Cost {
  double seconds = 0;  ///< CPU time of this thread, all operations together
  std::uint64_t operations = 0;
  [[nodiscard]] double per_second() const { return static_cast<double>(operations) / seconds; }
  [[nodiscard]] double us() const { return seconds * 1e6 / static_cast<double>(operations); }
};

/// CPU time of the calling thread: other load on the machine is not counted.
double thread_cpu_seconds();

/// Calls `operation(i)` for about `seconds` of CPU time, at least once.
template <class Operation>
Cost measure(double seconds, Operation&& operation) {
  constexpr std::uint64_t kBatch = 64;  // reading the clock costs less than 1 % of a batch
  Cost cost;
  const double begin = thread_cpu_seconds();
  do {
    for (std::uint64_t i = 0; i < kBatch; ++i) operation(cost.operations++);
    cost.seconds = thread_cpu_seconds() - begin;
  } while (cost.seconds < seconds);
  return cost;
}

}  // namespace tayga::bench
