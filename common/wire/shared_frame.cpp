#include "common/wire/shared_frame.hpp"

#include <memory>

namespace tayga::wire {

SharedBytes serialize_shared_frame(FrameType type, ByteView payload) {
  return std::make_shared<const Bytes>(serialize_frame(type, payload));
}

}  // namespace tayga::wire
