#include "tests/sim/percentiles.hpp"

#include <algorithm>
#include <utility>

namespace tayga::sim {

void Percentiles::add(const Percentiles& others) {
  values_.insert(values_.end(), others.values_.begin(), others.values_.end());
  sorted_ = false;
}

Duration Percentiles::at(unsigned permille) const {
  if (values_.empty()) return Duration::zero();
  if (!std::exchange(sorted_, true)) std::sort(values_.begin(), values_.end());
  const std::size_t rank = (values_.size() * permille + 999) / 1000;
  return values_[std::max<std::size_t>(rank, 1) - 1];
}

}  // namespace tayga::sim
