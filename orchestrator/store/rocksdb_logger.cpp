#include "orchestrator/store/rocksdb_logger.hpp"

#include "common/log/log.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <string_view>

namespace tayga::orch {

using namespace std::chrono_literals;

void RocksdbLogger::Logv(const char* format, va_list arguments) {
  Logv(rocksdb::WARN_LEVEL, format, arguments);
}

void RocksdbLogger::Logv(const rocksdb::InfoLogLevel level, const char* format, va_list arguments) {
  if (level < GetInfoLogLevel() || level == rocksdb::HEADER_LEVEL) return;
  std::array<char, 512> text;  // what is longer is cut
  const int written = std::vsnprintf(text.data(), text.size(), format, arguments);
  if (written <= 0) return;
  std::string_view said{text.data(), std::min(static_cast<std::size_t>(written), text.size() - 1)};
  while (!said.empty() && said.back() == '\n') said.remove_suffix(1);
  // A disk that stays full makes it repeat itself.
  static log::SiteLimit limit{20, 60s};
  const auto as = level >= rocksdb::ERROR_LEVEL ? log::Level::error : log::Level::warn;
  log::at(limit, as, "rocksdb", log::field("said", said));
}

}  // namespace tayga::orch
