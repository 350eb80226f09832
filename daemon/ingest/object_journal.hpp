#pragma once

#include "common/base/result.hpp"
#include "common/base/time.hpp"
#include "common/crypto/hash.hpp"
#include "daemon/ingest/publisher.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace tayga::ingest {

/// An opt-in file with one JSON line per whole object, for audits: gateways note what they
/// published, viewers what became ready, and comparing both finds every loss and every changed
/// byte.
///
//  {"event":"published","stream":"show","track":1,"epoch":1700000000,"object":7,"path":"v0_7.ts",
//   "bytes":250000,"sha256":"..","complete_us":1700000014000000}
//  {"event":"ready", the same fields,"ready_us":1700000014120000,"late":false}
///
/// Each line is one append to the file, so a killed process loses none and several processes may
/// share a file. A failing disk costs lines, never service: the first failure is logged, all are
/// counted. Not thread-safe.
class ObjectJournal {
 public:
  struct Ready {
    PublishedObject object;  ///< `complete` is the publisher's time of its last slice
    WallTime ready;          ///< whole at this node
    bool late = false;
  };

  /// Creates the file or appends to it. Error: of the system.
  static Result<std::unique_ptr<ObjectJournal>> open(const std::filesystem::path& path);
  ~ObjectJournal();
  ObjectJournal(const ObjectJournal&) = delete;
  ObjectJournal& operator=(const ObjectJournal&) = delete;

  void published(const std::string& stream, const PublishedObject& object);
  void ready(const std::string& stream, const Ready& ready);

  [[nodiscard]] std::uint64_t lines_lost() const noexcept { return lines_lost_; }

 private:
  ObjectJournal(int file, std::filesystem::path path);
  void write_line(const std::string& line);

  int file_;
  std::filesystem::path path_;
  std::uint64_t lines_lost_ = 0;
};

}  // namespace tayga::ingest
