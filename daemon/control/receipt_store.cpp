#include "daemon/control/receipt_store.hpp"

#include "common/base/check.hpp"
#include "common/crypto/hash.hpp"
#include "common/log/log.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

namespace tayga::control {

namespace {

constexpr std::size_t kRecordsPerRead = 256;
constexpr std::size_t kTrailerSize = kReceiptRecordSize - wire::kSettlementItemSize;

struct Fields {
  AllocationId allocation;
  std::uint32_t seq;
  std::uint64_t cum_bytes;
};

std::optional<Fields> fields_of(ByteView item) {
  const auto receipt = wire::parse_receipt(item.subspan(wire::kAllocationSize, wire::kReceiptSize));
  if (!receipt) return std::nullopt;
  return Fields{receipt->allocation, receipt->seq, receipt->cum_bytes};
}

bool is_intact(ByteView record) {
  const auto digest = crypto::sha256(record.first(wire::kSettlementItemSize));
  return std::ranges::equal(ByteView{digest}.first(kTrailerSize), record.last(kTrailerSize));
}

void append_record(Bytes& out, ByteView item) {
  const auto digest = crypto::sha256(item);
  out.insert(out.end(), item.begin(), item.end());
  out.insert(out.end(), digest.begin(), digest.begin() + kTrailerSize);
}

off_t to_offset(std::size_t record) {
  return static_cast<off_t>(record * kReceiptRecordSize);
}

/// False with errno set; ENOSPC also for a disk that takes nothing without saying why.
bool write_at(int fd, ByteView bytes, off_t offset) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written == 0) errno = ENOSPC;
    if (written <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += written;
  }
  return true;
}

/// Bytes read, less than asked only at the end of the file; -1 with errno set.
ssize_t read_at(int fd, std::span<std::byte> out, off_t offset) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got =
        ::pread(fd, out.data() + done, out.size() - done, offset + static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return static_cast<ssize_t>(done);
}

int open_locked(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return -1;
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  const int reason = errno;
  ::close(fd);
  errno = reason;
  return -1;
}

/// A rename lasts only once its folder is on disk.
bool sync_folder(const std::filesystem::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool is_synced = ::fsync(fd) == 0;
  ::close(fd);
  return is_synced;
}

}  // namespace

ReceiptStore::ReceiptStore(std::filesystem::path path) : path_{std::move(path)} {}

ReceiptStore::~ReceiptStore() {
  if (fd_ >= 0) ::close(fd_);
}

std::variant<ReceiptStore::Opened, ReceiptStoreError> ReceiptStore::open(
    const std::filesystem::path& state_dir) {
  std::unique_ptr<ReceiptStore> store{new ReceiptStore{state_dir / "receipts.log"}};
  if (auto error = store->open_file()) return std::move(*error);
  Loaded loaded;
  if (auto error = store->load(loaded)) return std::move(*error);
  if (loaded.damaged > 0) {
    log::warn("receipts.log has damaged records: they are skipped",
              log::field("path", store->path_.native()), log::field("damaged", loaded.damaged),
              log::field("kept", loaded.items.size()));
  }
  return Opened{std::move(store), std::move(loaded.items), loaded.damaged};
}

std::optional<ReceiptStoreError> ReceiptStore::open_file() {
  fd_ = open_locked(path_);
  if (fd_ >= 0) return std::nullopt;
  if (errno == EWOULDBLOCK) {
    return ReceiptStoreError{path_.native() +
                             " is in use by another process: one taygad per state directory; stop "
                             "the other one or give this one its own state_dir"};
  }
  return make_error("cannot open");
}

std::optional<ReceiptStoreError> ReceiptStore::load(Loaded& out) {
  std::map<AllocationId, wire::SettlementItem> newest;
  Bytes buffer(kRecordsPerRead * kReceiptRecordSize);
  std::size_t record = 0;
  for (;;) {
    const ssize_t got = read_at(fd_, buffer, to_offset(record));
    if (got < 0) return make_error("cannot read");
    const ByteView bytes = ByteView{buffer}.first(static_cast<std::size_t>(got));
    const std::size_t count = bytes.size() / kReceiptRecordSize;
    for (std::size_t i = 0; i < count; ++i, ++record) {
      const ByteView one = bytes.subspan(i * kReceiptRecordSize, kReceiptRecordSize);
      const auto fields = is_intact(one) ? fields_of(one) : std::nullopt;
      if (!fields) {
        out.damaged += 1;
        continue;
      }
      const auto known = index_.find(fields->allocation);
      if (known != index_.end() && known->second.seq >= fields->seq) continue;
      index_[fields->allocation] = {record, fields->seq, fields->cum_bytes};
      std::copy_n(one.begin(), wire::kSettlementItemSize, newest[fields->allocation].begin());
    }
    if (bytes.size() % kReceiptRecordSize != 0) out.damaged += 1;  // overwritten by what comes next
    if (count < kRecordsPerRead) break;
  }
  file_records_ = record;
  for (const auto& [allocation, item] : newest) out.items.push_back(item);
  return std::nullopt;
}

void ReceiptStore::put(const wire::SettlementItem& item) {
  const auto fields = fields_of(item);
  TAYGA_CHECK(fields.has_value());  // the book hands out what it verified
  const std::lock_guard lock{mutex_};
  changes_.items[fields->allocation] = item;
}

void ReceiptStore::settle(const AllocationId& allocation, std::uint64_t settled_bytes) {
  const std::lock_guard lock{mutex_};
  std::uint64_t& settled = changes_.settled[allocation];
  settled = std::max(settled, settled_bytes);
}

void ReceiptStore::forget(const AllocationId& allocation) {
  settle(allocation, std::numeric_limits<std::uint64_t>::max());
}

std::optional<ReceiptStoreError> ReceiptStore::flush() {
  Changes changes;
  {
    const std::lock_guard lock{mutex_};
    std::swap(changes, changes_);
  }
  if (auto error = write_changes(changes)) {
    const std::lock_guard lock{mutex_};
    // insert() keeps what was put meanwhile: it is newer.
    changes_.items.insert(changes.items.begin(), changes.items.end());
    for (const auto& [allocation, bytes] : changes.settled) {
      std::uint64_t& settled = changes_.settled[allocation];
      settled = std::max(settled, bytes);
    }
    return error;
  }
  for (const auto& [allocation, bytes] : changes.settled) {
    const auto found = index_.find(allocation);
    if (found != index_.end() && found->second.cum_bytes <= bytes) index_.erase(found);
  }
  if (file_records_ >= kCompactRecordsMin && file_records_ > kCompactFactor * index_.size()) {
    return compact();
  }
  return std::nullopt;
}

std::optional<ReceiptStoreError> ReceiptStore::write_changes(const Changes& changes) {
  Bytes out;
  std::map<AllocationId, Place> places;
  for (const auto& [allocation, item] : changes.items) {
    const auto fields = fields_of(item);
    const auto settled = changes.settled.find(allocation);
    if (settled != changes.settled.end() && settled->second >= fields->cum_bytes) continue;
    places[allocation] = {file_records_ + places.size(), fields->seq, fields->cum_bytes};
    append_record(out, item);
  }
  if (out.empty()) return std::nullopt;
  if (!write_at(fd_, out, to_offset(file_records_)) || ::fdatasync(fd_) != 0) {
    const ReceiptStoreError error = make_error("cannot write");
    // A half-written record would only be skipped at the next start; cutting it is a courtesy.
    [[maybe_unused]] const int ignored = ::ftruncate(fd_, to_offset(file_records_));
    return error;
  }
  file_records_ += places.size();
  for (const auto& [allocation, place] : places) index_[allocation] = place;
  return std::nullopt;
}

std::optional<ReceiptStoreError> ReceiptStore::compact() {
  Bytes live;
  std::map<AllocationId, Place> moved;
  std::array<std::byte, kReceiptRecordSize> record;
  for (const auto& [allocation, place] : index_) {
    const ssize_t got = read_at(fd_, record, to_offset(place.record));
    if (got != static_cast<ssize_t>(record.size()) || !is_intact(record)) {
      return ReceiptStoreError{path_.native() + " changed under us: it is not compacted"};
    }
    moved[allocation] = {moved.size(), place.seq, place.cum_bytes};
    live.insert(live.end(), record.begin(), record.end());
  }
  std::filesystem::path temporary = path_;
  temporary += ".new";
  ::unlink(temporary.c_str());
  const int fd = open_locked(temporary);
  const bool is_ready = fd >= 0 && write_at(fd, live, 0) && ::fsync(fd) == 0 &&
                        ::rename(temporary.c_str(), path_.c_str()) == 0;
  if (!is_ready) {
    const ReceiptStoreError error = make_error("cannot compact");
    if (fd >= 0) ::close(fd);
    ::unlink(temporary.c_str());
    return error;
  }
  ::close(fd_);
  fd_ = fd;
  file_records_ = moved.size();
  index_ = std::move(moved);
  if (!sync_folder(path_.parent_path())) return make_error("cannot sync the folder of");
  return std::nullopt;
}

ReceiptStoreError ReceiptStore::make_error(const char* what) const {
  const int reason = errno;
  std::string message = std::string{what} + " " + path_.native() + ": " + std::strerror(reason);
  if (reason == ENOSPC || reason == EDQUOT || reason == EFBIG) {
    message += "; free space there: earned receipts stay in memory only until it works again";
  } else {
    message += "; check that the state directory exists and belongs to taygad's user";
  }
  return {std::move(message)};
}

}  // namespace tayga::control
