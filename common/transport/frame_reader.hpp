#pragma once

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"
#include "common/wire/frame.hpp"

#include <optional>

namespace tayga::transport {

struct FrameView {
  wire::FrameType type;
  ByteView payload;
};

/// Cuts a byte stream into frames. A frame that lies whole in what was read is not copied; one that
/// does not is assembled in a buffer that grows with the bytes received, not with the size
/// announced, and is bounded by kFrameHeaderSize + kPayloadSizeMax. Sans-IO.
class FrameReader {
 public:
  /// Takes the next frame from the front of `in`. nullopt: `in` is used up, its rest kept for the
  /// next call. The view is valid until the next call. Errors: as parse_frame_header, the peer is
  /// broken; the reader must not be used again.
  Result<std::optional<FrameView>> next(ByteView& in);

  [[nodiscard]] std::size_t buffered() const noexcept { return delivered_ ? 0 : partial_.size(); }

 private:
  Result<std::optional<FrameView>> next_assembled(ByteView& in);
  void take(ByteView& in, std::size_t count);

  Bytes partial_;           // the front of a frame, header included
  bool delivered_ = false;  // partial_ was handed out: drop it at the next call
};

}  // namespace tayga::transport
