#pragma once

#include "common/base/bytes.hpp"
#include "common/base/check.hpp"
#include "common/base/ids.hpp"

#include <boost/endian/conversion.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace tayga::wire {

/// Writes fixed big-endian layouts into memory that the caller sized; running past the end is our
/// bug.
class Writer {
 public:
  explicit Writer(std::span<std::byte> out) noexcept : out_{out} {}

  template <class Unsigned>
  void integer(Unsigned value) noexcept {
    const Unsigned big = boost::endian::native_to_big(value);
    raw({reinterpret_cast<const std::byte*>(&big), sizeof big});
  }
  void raw(ByteView bytes) noexcept {
    TAYGA_CHECK(bytes.size() <= out_.size() - used_);
    if (!bytes.empty()) std::memcpy(out_.data() + used_, bytes.data(), bytes.size());
    used_ += bytes.size();
  }
  [[nodiscard]] std::size_t used() const noexcept { return used_; }

 private:
  std::span<std::byte> out_;
  std::size_t used_ = 0;
};

/// Reads fixed big-endian layouts. The caller checks the size of the input once, up front; running
/// past the end afterwards is our bug.
class Reader {
 public:
  explicit Reader(ByteView in) noexcept : in_{in} {}

  template <class Unsigned>
  Unsigned integer() noexcept {
    Unsigned big;
    const ByteView bytes = raw(sizeof big);
    std::memcpy(&big, bytes.data(), sizeof big);
    return boost::endian::big_to_native(big);
  }
  template <class Id>
  Id id() noexcept {
    return *Id::from(raw(Id::kSize));
  }
  ByteView raw(std::size_t size) noexcept {
    TAYGA_CHECK(size <= in_.size() - used_);
    const ByteView part = in_.subspan(used_, size);
    used_ += size;
    return part;
  }
  [[nodiscard]] std::size_t remaining() const noexcept { return in_.size() - used_; }

 private:
  ByteView in_;
  std::size_t used_ = 0;
};

}  // namespace tayga::wire
