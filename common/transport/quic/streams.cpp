#include "common/transport/quic/streams.hpp"

#include "common/base/check.hpp"

#include <algorithm>

namespace tayga::transport::quic {

void OutStream::push(SharedBytes frame) {
  unsent_ += frame->size();
  bytes_ += frame->size();
  frames_.push_back(std::move(frame));
}

std::size_t OutStream::gather(std::span<ngtcp2_vec> out, std::size_t wanted) const {
  std::size_t count = 0;
  std::size_t gathered = 0;
  std::size_t offset = next_offset_;
  for (std::size_t i = next_; i < frames_.size() && count < out.size() && gathered < wanted; ++i) {
    const ByteView rest = ByteView{*frames_[i]}.subspan(offset);
    // ngtcp2 does not write to it; its type just does not say so.
    out[count++] = {const_cast<std::uint8_t*>(as_uchar(rest)), rest.size()};
    gathered += rest.size();
    offset = 0;
  }
  return count;
}

void OutStream::on_written(std::size_t size) {
  TAYGA_CHECK(size <= unsent_);
  unsent_ -= size;
  while (size > 0) {
    const std::size_t rest = frames_[next_]->size() - next_offset_;
    if (size < rest) {
      next_offset_ += size;
      return;
    }
    size -= rest;
    ++next_;
    next_offset_ = 0;
  }
}

std::size_t OutStream::on_acknowledged(std::uint64_t offset) {
  std::size_t released = 0;
  while (next_ > 0 && base_ + frames_.front()->size() <= offset) {
    const std::size_t size = frames_.front()->size();
    base_ += size;
    released += size;
    frames_.pop_front();
    --next_;
  }
  bytes_ -= released;
  return released;
}

void OutStream::clear() {
  frames_.clear();
  next_ = next_offset_ = unsent_ = bytes_ = 0;
}

}  // namespace tayga::transport::quic
