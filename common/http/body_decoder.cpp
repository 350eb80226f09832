#include "common/http/body_decoder.hpp"

#include "common/http/errors.hpp"

#include <algorithm>

namespace tayga::http {
namespace {

int hex_value(unsigned char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_field_byte(unsigned char c) noexcept {
  return (c >= ' ' && c != 0x7f) || c == '\t';
}

error_code expect(bool holds) noexcept {
  return holds ? error_code{} : make_error_code(HttpErrc::bad_body);
}

}  // namespace

BodyDecoder::BodyDecoder(const BodyFraming& framing) noexcept
    : state_{framing.chunked              ? State::size
             : framing.content_length > 0 ? State::identity
                                          : State::done},
      remaining_{framing.chunked ? 0 : framing.content_length} {}

Result<BodyDecoder::Step> BodyDecoder::decode(ByteView in, std::span<std::byte> out) noexcept {
  Step step;
  while (step.consumed < in.size() && state_ != State::done) {
    if (state_ != State::identity && state_ != State::data) {
      const auto c = std::to_integer<unsigned char>(in[step.consumed]);
      if (const auto error = on_control_byte(c)) return error;
      ++step.consumed;
      continue;
    }
    const std::size_t room = std::min(in.size() - step.consumed, out.size() - step.produced);
    if (room == 0) break;
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(room, remaining_));
    std::ranges::copy(in.subspan(step.consumed, count),
                      out.begin() + std::ptrdiff_t(step.produced));
    step.consumed += count;
    step.produced += count;
    remaining_ -= count;
    if (remaining_ == 0) state_ = state_ == State::identity ? State::done : State::data_cr;
  }
  return step;
}

error_code BodyDecoder::on_size_byte(unsigned char c) noexcept {
  constexpr std::uint64_t kLastMultipliable = ~std::uint64_t{0} >> 4U;
  if (const int digit = hex_value(c); digit >= 0) {
    if (remaining_ > kLastMultipliable) return HttpErrc::bad_body;
    remaining_ = remaining_ << 4U | static_cast<std::uint64_t>(digit);
    has_digit_ = true;
    return {};
  }
  if (!has_digit_) return HttpErrc::bad_body;
  state_ = c == '\r' ? State::size_lf : State::extension;
  return expect(c == '\r' || c == ';' || c == ' ' || c == '\t');
}

error_code BodyDecoder::on_control_byte(unsigned char c) noexcept {
  switch (state_) {
    case State::size:
    case State::extension:
      if (++line_size_ > kChunkLineSizeMax) return HttpErrc::bad_body;
      if (state_ == State::size) return on_size_byte(c);
      if (c == '\r') state_ = State::size_lf;
      return expect(c == '\r' || is_field_byte(c));
    case State::size_lf:
      state_ = remaining_ > 0 ? State::data : State::trailer_begin;
      return expect(c == '\n');
    case State::data_cr:
      state_ = State::data_lf;
      return expect(c == '\r');
    case State::data_lf:
      state_ = State::size;
      line_size_ = 0;
      has_digit_ = false;
      return expect(c == '\n');
    case State::trailer_begin:
    case State::trailer:
      if (++trailers_size_ > kTrailersSizeMax) return HttpErrc::bad_body;
      if (c != '\r') {
        state_ = State::trailer;
        return expect(is_field_byte(c));
      }
      state_ = state_ == State::trailer_begin ? State::end_lf : State::trailer_lf;
      return {};
    case State::trailer_lf:
      state_ = State::trailer_begin;
      return expect(c == '\n');
    case State::end_lf:
      state_ = State::done;
      return expect(c == '\n');
    case State::identity:
    case State::data:
    case State::done:
      break;
  }
  return HttpErrc::bad_body;
}

}  // namespace tayga::http
