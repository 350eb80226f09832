#pragma once

#include <rocksdb/env.h>

#include <cstdarg>

namespace tayga::orch {

/// What RocksDB has to say, as lines of our own log.
///
/// Not a file beside the data: after a full disk RocksDB writes again to the one that failed, and
/// Debian's build, whose assertions are on, ends the process there.
class RocksdbLogger final : public rocksdb::Logger {
 public:
  RocksdbLogger() : Logger{rocksdb::WARN_LEVEL} {}

  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list arguments) override;
  void Logv(const rocksdb::InfoLogLevel level, const char* format, va_list arguments) override;

 protected:
  rocksdb::Status CloseImpl() override { return rocksdb::Status::OK(); }
};

}  // namespace tayga::orch
