#include "common/transport/quic/frame_tally.hpp"

#include <cstddef>

namespace tayga::transport::quic {
namespace {

/// Reads a payload from its front; broken once it ended too early.
class Reader {
 public:
  explicit Reader(ByteView bytes) noexcept : bytes_{bytes} {}

  [[nodiscard]] bool empty() const noexcept { return at_ == bytes_.size(); }
  [[nodiscard]] bool broken() const noexcept { return broken_; }
  [[nodiscard]] std::size_t left() const noexcept { return bytes_.size() - at_; }

  std::uint64_t number() noexcept {
    if (left() == 0) return fail();
    const auto first = std::to_integer<std::uint64_t>(bytes_[at_]);
    const std::size_t size = std::size_t{1} << (first >> 6U);
    if (left() < size) return fail();
    std::uint64_t value = first & 0x3fU;
    for (std::size_t i = 1; i < size; ++i) {
      value = value << 8U | std::to_integer<std::uint64_t>(bytes_[at_ + i]);
    }
    at_ += size;
    return value;
  }
  void numbers(std::uint64_t count) noexcept {
    for (; count > 0 && !broken_; --count) (void)number();
  }
  void skip(std::uint64_t size) noexcept {
    if (size > left()) {
      (void)fail();
    } else {
      at_ += static_cast<std::size_t>(size);
    }
  }
  void skip_padding() noexcept {
    while (at_ < bytes_.size() && bytes_[at_] == std::byte{0}) ++at_;
  }

 private:
  std::uint64_t fail() noexcept {
    broken_ = true;
    at_ = bytes_.size();
    return 0;
  }

  ByteView bytes_;
  std::size_t at_ = 0;
  bool broken_ = false;
};

void add_stream(FrameTally& tally, Reader& in, std::uint64_t type) noexcept {
  in.numbers((type & 4U) != 0 ? 2 : 1);  // id and offset
  const std::uint64_t size = (type & 2U) != 0 ? in.number() : in.left();
  in.skip(size);
  if (in.broken()) return;
  ++tally.data_frames;
  if (size < FrameTally::kSmallData) ++tally.small_data;
  tally.data_bytes += static_cast<std::uint32_t>(size);
}

void skip_ack(Reader& in, bool with_ecn) noexcept {
  in.numbers(2);  // largest, delay
  const std::uint64_t ranges = in.number();
  in.numbers(1);
  if (ranges > in.left()) return in.skip(UINT64_MAX);
  in.numbers(2 * ranges + (with_ecn ? 3 : 0));
}

void skip_new_connection_id(Reader& in) noexcept {
  constexpr std::uint64_t kResetTokenSize = 16;
  in.numbers(2);  // sequence, retire prior to
  in.skip(in.number() + kResetTokenSize);
}

}  // namespace

void FrameTally::add(ByteView payload) noexcept {
  Reader in{payload};
  for (in.skip_padding(); !in.empty(); in.skip_padding()) {
    const std::uint64_t type = in.number();
    std::uint32_t* count = &others;
    switch (type) {
      case 0x01:  // PING
        break;
      case 0x02:
      case 0x03:
        skip_ack(in, type == 0x03);
        count = &acks;
        break;
      case 0x06:
        in.numbers(1);
        in.skip(in.number());
        count = &crypto;
        break;
      case 0x07:  // NEW_TOKEN
        in.skip(in.number());
        break;
      case 0x04:  // RESET_STREAM
        in.numbers(3);
        count = &resets;
        break;
      case 0x05:  // STOP_SENDING
        in.numbers(2);
        count = &resets;
        break;
      case 0x11:  // MAX_STREAM_DATA
      case 0x15:  // STREAM_DATA_BLOCKED
        in.numbers(2);
        break;
      case 0x10:  // MAX_DATA
      case 0x12:  // MAX_STREAMS
      case 0x13:
      case 0x14:  // DATA_BLOCKED
      case 0x16:  // STREAMS_BLOCKED
      case 0x17:
        in.numbers(1);
        break;
      case 0x18:
        skip_new_connection_id(in);
        count = &connection_ids;
        break;
      case 0x19:
        in.numbers(1);
        count = &connection_ids;
        break;
      case 0x1a:
        in.skip(8);
        count = &path_probes;
        break;
      case 0x1b:  // PATH_RESPONSE
        in.skip(8);
        break;
      case 0x1e:  // HANDSHAKE_DONE
        break;
      default:
        if (type < 0x08 || type > 0x0f) return;  // the end, or nothing that we negotiated
        add_stream(*this, in, type);
        continue;
    }
    if (!in.broken()) ++*count;
  }
}

}  // namespace tayga::transport::quic
