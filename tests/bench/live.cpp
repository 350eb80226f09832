#include "tests/bench/live.hpp"

#include <algorithm>

namespace tayga::bench {
namespace {

constexpr std::size_t kGroups = 8;
constexpr Duration kWindowAhead = 50ms;  // until then every process has heard of it

}  // namespace

std::vector<ChildGroup> make_groups(std::size_t children, Purpose purpose) {
  const std::size_t count = std::min(kGroups, children);
  std::vector<ChildGroup> groups(count);
  for (std::size_t i = 0; i < count; ++i) {
    groups[i].purpose = purpose;
    groups[i].children = children / count + (i < children % count ? 1 : 0);
  }
  return groups;
}

boost::json::object make_window(Duration length) {
  const std::int64_t begin = wall_us() + kWindowAhead.count();
  return {{"begin_us", begin}, {"end_us", begin + length.count()}};
}

}  // namespace tayga::bench
