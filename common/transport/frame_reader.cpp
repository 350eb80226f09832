#include "common/transport/frame_reader.hpp"

#include "common/wire/wire_error.hpp"

#include <algorithm>

namespace tayga::transport {
namespace {

/// Above this an idle reader gives its buffer back: most sessions never see a large frame.
constexpr std::size_t kKeptCapacity = 8 * 1024;

}  // namespace

Result<std::optional<FrameView>> FrameReader::next(ByteView& in) {
  if (delivered_) {
    delivered_ = false;
    partial_.clear();
    if (partial_.capacity() > kKeptCapacity) partial_.shrink_to_fit();
  }
  if (!partial_.empty()) return next_assembled(in);

  const Result<wire::FrameHeader> header = wire::parse_frame_header(in);
  if (!header && header.error() != wire::WireErrc::need_more) return header.error();
  if (!header || in.size() - wire::kFrameHeaderSize < header->payload_size) {
    take(in, in.size());
    return std::optional<FrameView>{};
  }
  const FrameView frame{header->type, in.subspan(wire::kFrameHeaderSize, header->payload_size)};
  in = in.subspan(wire::kFrameHeaderSize + header->payload_size);
  return std::optional{frame};
}

Result<std::optional<FrameView>> FrameReader::next_assembled(ByteView& in) {
  if (partial_.size() < wire::kFrameHeaderSize) take(in, wire::kFrameHeaderSize - partial_.size());
  const Result<wire::FrameHeader> header = wire::parse_frame_header(partial_);
  if (!header && header.error() != wire::WireErrc::need_more) return header.error();
  if (!header) return std::optional<FrameView>{};

  const std::size_t size = wire::kFrameHeaderSize + header->payload_size;
  take(in, size - partial_.size());
  if (partial_.size() < size) return std::optional<FrameView>{};
  delivered_ = true;
  const FrameView frame{header->type, ByteView{partial_}.subspan(wire::kFrameHeaderSize)};
  return std::optional{frame};
}

void FrameReader::take(ByteView& in, std::size_t count) {
  count = std::min(count, in.size());
  partial_.insert(partial_.end(), in.begin(), in.begin() + static_cast<std::ptrdiff_t>(count));
  in = in.subspan(count);
}

}  // namespace tayga::transport
