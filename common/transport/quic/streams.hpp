#pragma once

#include "common/base/bytes.hpp"
#include "common/base/ring_queue.hpp"
#include "common/transport/frame_reader.hpp"
#include "common/transport/quic/ngtcp2_shim.hpp"
#include "common/transport/session.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace tayga::transport::quic {

/// What we send on one stream: whole frames, shared with other connections, held until the peer has
/// acknowledged them.
///
///   acknowledged | in flight ............. | unsent ......
///                ^ base_                   ^ next_, next_offset_
class OutStream {
 public:
  void open(std::int64_t id) noexcept { id_ = id; }
  [[nodiscard]] std::int64_t id() const noexcept { return id_; }
  [[nodiscard]] bool is_open() const noexcept { return id_ >= 0; }

  void push(SharedBytes frame);
  /// Fills `out` with unsent bytes, about `wanted` of them; returns how many entries are set.
  std::size_t gather(std::span<ngtcp2_vec> out, std::size_t wanted) const;
  /// The first `size` unsent bytes were written.
  void on_written(std::size_t size);
  /// The peer has all bytes of the stream below `offset`. Returns the bytes let go of.
  std::size_t on_acknowledged(std::uint64_t offset);

  [[nodiscard]] std::size_t unsent() const noexcept { return unsent_; }
  /// Held in all.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] bool idle() const noexcept { return bytes_ == 0; }
  void clear();

  FlowId flow;             ///< whose media it carries now
  std::uint64_t used = 0;  ///< rises with each frame of the connection: the lowest is reused first
  bool blocked = false;    ///< by flow control
  bool queued = false;     ///< waits for its turn

 private:
  std::int64_t id_ = -1;
  RingQueue<SharedBytes> frames_;
  std::size_t next_ = 0;         // frame to go on with
  std::size_t next_offset_ = 0;  // in it
  std::uint64_t base_ = 0;       // stream offset of the front frame
  std::size_t unsent_ = 0;
  std::size_t bytes_ = 0;
};

/// What we receive on one stream.
struct InStream {
  std::int64_t id = -1;
  FrameReader reader;
  Bytes held;  ///< came before the session was started; bounded by the flow control window
  std::size_t withheld = 0;  ///< credit that the peer gets back when we read on
};

}  // namespace tayga::transport::quic
