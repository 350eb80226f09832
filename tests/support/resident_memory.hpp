#pragma once

#include <unistd.h>

#include <cstddef>
#include <fstream>

namespace tayga::test {

/// What this process holds in memory now.
inline std::size_t resident_bytes() {
  std::ifstream statm{"/proc/self/statm"};
  std::size_t total = 0;
  std::size_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace tayga::test
