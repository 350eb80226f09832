#pragma once

#include "common/base/result.hpp"

#include <cstdint>
#include <filesystem>

namespace tayga::orch {

/// A small file beside the database that says how many commits were acknowledged.
///
/// RocksDB's recovery takes a write-ahead log up to its first bad record and says nothing of what
/// followed: only a second place can tell that acknowledged commits are missing. Two slots, written
/// in turn, each `commits u64 | ~commits u64`: a torn write leaves the other one.
class CommitWitness {
 public:
  CommitWitness() = default;
  ~CommitWitness();
  CommitWitness(CommitWitness&& other) noexcept;
  CommitWitness& operator=(CommitWitness&& other) noexcept;
  CommitWitness(const CommitWitness&) = delete;
  CommitWitness& operator=(const CommitWitness&) = delete;

  /// Makes the file when it is missing, with 0 in both slots: later writes need no space. Errors:
  /// the system's; corrupt when neither slot is valid.
  static Result<CommitWitness> open(const std::filesystem::path& file);

  [[nodiscard]] std::uint64_t commits() const noexcept { return commits_; }
  /// Returns when it is durable. After an error the file must not be relied on.
  Result<void> record(std::uint64_t commits);

 private:
  Result<void> write_slot(std::uint64_t commits, std::int64_t at);

  int fd_ = -1;
  std::uint64_t commits_ = 0;
};

}  // namespace tayga::orch
