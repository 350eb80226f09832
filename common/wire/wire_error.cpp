#include "common/wire/wire_error.hpp"

#include <string>

namespace tayga::wire {
namespace {

const char* describe(WireErrc e) noexcept {
  switch (e) {
    case WireErrc::need_more:
      return "more bytes are needed";
    case WireErrc::truncated:
      return "too short for its layout";
    case WireErrc::trailing_bytes:
      return "bytes after its end";
    case WireErrc::unknown_frame_type:
      return "unknown frame type";
    case WireErrc::payload_too_large:
      return "frame payload above 64 KiB";
    case WireErrc::chunk_too_large:
      return "chunk above 16 KiB";
    case WireErrc::chunk_empty:
      return "chunk without bytes";
    case WireErrc::bad_tag:
      return "wrong domain tag";
    case WireErrc::bad_version:
      return "unknown version";
    case WireErrc::reserved_not_zero:
      return "a reserved field is not zero";
    case WireErrc::bad_field:
      return "a field has an impossible value";
    case WireErrc::bad_signature:
      return "the signature does not verify";
  }
  return "unknown wire error";
}

class WireCategory final : public boost::system::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "tayga.wire"; }
  [[nodiscard]] std::string message(int value) const override {
    return describe(static_cast<WireErrc>(value));
  }
};

}  // namespace

const boost::system::error_category& wire_category() noexcept {
  static const WireCategory category;
  return category;
}

}  // namespace tayga::wire
