#include "common/base/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace tayga {

void check_failed(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "tayga: internal error: %s does not hold (%s:%d)\n", condition, file, line);
  std::abort();
}

}  // namespace tayga
