#include "orchestrator/store/commit_witness.hpp"

#include "common/wire/big_endian.hpp"
#include "orchestrator/store/store_error.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <utility>

namespace tayga::orch {
namespace {

constexpr std::size_t kSlotSize = 16;
/// A sector each: a torn write cannot touch both.
constexpr std::array<off_t, 2> kSlotOffsets{0, 512};

using Slot = std::array<std::byte, kSlotSize>;

error_code last_error() {
  return {errno, boost::system::system_category()};
}

Slot encode_slot(std::uint64_t commits) {
  Slot slot;
  wire::Writer out{slot};
  out.integer(commits);
  out.integer(~commits);
  return slot;
}

std::optional<std::uint64_t> decode_slot(const Slot& slot) {
  wire::Reader in{slot};
  const auto commits = in.integer<std::uint64_t>();
  if (in.integer<std::uint64_t>() != ~commits) return std::nullopt;
  return commits;
}

}  // namespace

CommitWitness::~CommitWitness() {
  if (fd_ >= 0) ::close(fd_);
}

CommitWitness::CommitWitness(CommitWitness&& other) noexcept
    : fd_{std::exchange(other.fd_, -1)}, commits_{other.commits_} {}

CommitWitness& CommitWitness::operator=(CommitWitness&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(commits_, other.commits_);
  return *this;
}

Result<CommitWitness> CommitWitness::open(const std::filesystem::path& file) {
  CommitWitness witness;
  witness.fd_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (witness.fd_ < 0) return last_error();
  std::optional<std::uint64_t> newest;
  ssize_t size = 0;
  for (const off_t at : kSlotOffsets) {
    Slot slot{};
    const ssize_t got = ::pread(witness.fd_, slot.data(), slot.size(), at);
    if (got < 0) return last_error();
    size += got;
    const auto commits = decode_slot(slot);
    if (commits && (!newest || *commits > *newest)) newest = commits;
  }
  if (newest) {
    witness.commits_ = *newest;
    return witness;
  }
  if (size != 0) return StoreErrc::corrupt;
  for (const off_t at : kSlotOffsets) {
    if (const auto written = witness.write_slot(0, at); !written) return written.error();
  }
  return witness;
}

Result<void> CommitWitness::record(std::uint64_t commits) {
  const auto written = write_slot(commits, kSlotOffsets.at(commits % kSlotOffsets.size()));
  if (written) commits_ = commits;
  return written;
}

Result<void> CommitWitness::write_slot(std::uint64_t commits, std::int64_t at) {
  const Slot slot = encode_slot(commits);
  const ssize_t written = ::pwrite(fd_, slot.data(), slot.size(), at);
  if (written < 0) return last_error();
  if (written != static_cast<ssize_t>(slot.size())) {
    return error_code{ENOSPC, boost::system::system_category()};
  }
  if (::fdatasync(fd_) != 0) return last_error();
  return {};
}

}  // namespace tayga::orch
