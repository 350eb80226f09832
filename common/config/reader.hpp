#pragma once

#include "common/base/time.hpp"
#include "common/config/convert.hpp"
#include "common/config/secret_file.hpp"

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tayga::config {

/// Everything a configuration is made of; a later one wins: default, file, environment, flag.
struct Inputs {
  std::string file_name;  ///< for messages; relative secret files are looked up beside it
  std::string file_text;  ///< TOML
  /// `TAYGA_UPLOAD_CAP` sets `cap` in `[upload]`; names without the prefix are ignored.
  std::map<std::string, std::string> environment;
  /// By full key: "upload.cap" -> "10mbit".
  std::map<std::string, std::string> flags;
};

/// A value that must not be shown. print() hides it; do not log it.
struct Secret {
  std::string value;
  [[nodiscard]] bool empty() const noexcept { return value.empty(); }
};

class Reader;
inline constexpr std::int64_t kIntegerMax = std::numeric_limits<std::int64_t>::max();
inline constexpr std::uint64_t kUnsignedMax = static_cast<std::uint64_t>(kIntegerMax);

/// One table of the configuration: a borrow of its Reader.
///
/// Each getter declares its key, so ask for every key, also for those that do not matter now. A
/// value that cannot be used becomes a problem of the Reader, and the default is returned.
class Section {
 public:
  std::string string(std::string_view key, std::string fallback);
  std::optional<std::string> optional_string(std::string_view key);
  /// Missing = a problem that ends with `hint`, such as "set it to the line that `init` printed".
  std::string required_string(std::string_view key, std::string_view hint);
  std::string choice(std::string_view key, std::string fallback, std::vector<std::string> words);
  bool boolean(std::string_view key, bool fallback);
  std::int64_t integer(std::string_view key, std::int64_t fallback,
                       Range<std::int64_t> range = {0, kIntegerMax});
  std::uint64_t rate_bps(std::string_view key, std::uint64_t fallback,
                         Range<std::uint64_t> range = {0, kUnsignedMax});
  std::optional<std::uint64_t> optional_rate_bps(std::string_view key,
                                                 Range<std::uint64_t> range = {0, kUnsignedMax});
  std::uint64_t size_bytes(std::string_view key, std::uint64_t fallback,
                           Range<std::uint64_t> range = {0, kUnsignedMax});
  std::optional<std::uint64_t> optional_size_bytes(std::string_view key,
                                                   Range<std::uint64_t> range = {0, kUnsignedMax});
  Duration duration(std::string_view key, Duration fallback,
                    Range<Duration> range = {Duration::zero(), Duration::max()});
  std::vector<std::string> strings(std::string_view key, std::vector<std::string> fallback = {});
  /// `key`, or the content of the file that `key`_file names; both at once are a problem. Empty
  /// when neither is set.
  Secret secret(std::string_view key);

  /// `[name]` below this one.
  Section section(std::string_view name);
  /// `[[name]]` below this one, in order. Variables and flags cannot set values in them.
  std::vector<Section> tables(std::string_view name);

  /// Whether anything sets the key. Does not declare it.
  [[nodiscard]] bool is_set(std::string_view key) const;
  /// Adds a problem about the value of `key`: "FILE: upload.cap at line 4, column 7 is "x"; WHY".
  void reject(std::string_view key, std::string_view why);

  /// "upload.cap", "stream[0].name".
  [[nodiscard]] std::string full_key(std::string_view key) const;

 private:
  friend class Reader;
  struct Found;
  enum class Overrides : std::uint8_t { allowed, none };

  Section(Reader& reader, std::string path, const Node::Table* table, Overrides overrides)
      : reader_{&reader}, path_{std::move(path)}, table_{table}, overrides_{overrides} {}

  [[nodiscard]] std::optional<Found> look_up(std::string_view key) const;
  template <class As>
  std::optional<typename As::Value> get(std::string_view key, const As& as);
  template <class As>
  typename As::Value get_or(std::string_view key, const As& as, typename As::Value fallback);
  template <class As>
  std::optional<typename As::Value> get_optional(std::string_view key, const As& as);
  [[nodiscard]] std::string place_of(std::string_view key, const Found& found) const;
  void declare(std::string_view key, std::string shown, const std::optional<Found>& found);

  Reader* reader_;
  std::string path_;
  const Node::Table* table_;  // nullptr: the file has no such table
  Overrides overrides_;
};

/// Reads a configuration against the keys that its program declares.
///
///   Reader reader{inputs};
///   options.cap = reader.root().section("upload").rate_bps("cap", 10'000'000);
///   ...
///   const auto problems = reader.finish();  // all of them, each one line for a person
///
/// Pure except for `read_secret`. Not thread-safe.
class Reader {
 public:
  explicit Reader(Inputs inputs, ReadSecretFile read_secret = read_secret_file);
  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  [[nodiscard]] Section root();

  /// Call when every key was asked for: adds the unknown keys of file and flags, and returns all
  /// problems, the file's in its order. Empty = the configuration is good.
  [[nodiscard]] std::vector<std::string> finish();
  /// After finish(): variables that begin with TAYGA_ and set nothing. Worth a warning, not more:
  /// others may use the prefix.
  [[nodiscard]] const std::vector<std::string>& warnings() const noexcept;

  /// The effective configuration as TOML, each value with its source; secrets are hidden.
  [[nodiscard]] std::string print() const;

 private:
  friend class Section;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// "upload.cap" -> "TAYGA_UPLOAD_CAP".
std::string environment_name(std::string_view full_key);

}  // namespace tayga::config
