#pragma once

#include "common/base/bytes.hpp"
#include "common/wire/frame.hpp"

namespace tayga::wire {

/// serialize_frame() for a frame that is queued to any number of children. Pre: the same.
SharedBytes serialize_shared_frame(FrameType type, ByteView payload);

}  // namespace tayga::wire
