#include "daemon/rescue/range_answer.hpp"

#include <algorithm>
#include <charconv>

namespace tayga::rescue {
namespace {

std::optional<std::uint64_t> content_length(const http::Headers& headers) {
  const auto field = headers.get("Content-Length");
  if (!field) return std::nullopt;
  std::uint64_t value = 0;
  const char* const end = field->data() + field->size();
  const auto [rest, ec] = std::from_chars(field->data(), end, value);
  if (ec != std::errc{} || rest != end) return std::nullopt;
  return value;
}

}  // namespace

std::optional<http::ByteRange> RangeAnswer::range() const {
  if (part_.length > 0) return http::ByteRange{part_.offset, part_.offset + part_.length - 1};
  if (part_.offset == 0) return std::nullopt;
  return http::ByteRange{part_.offset, http::ByteRange::kOpenEnd};
}

bool RangeAnswer::on_head(const http::FetchHead& head) {
  // Its bytes would be those of the coding, not of the object.
  const auto coding = head.headers.get("Content-Encoding");
  if (coding && !http::equal_ignoring_case(*coding, "identity")) return false;
  if (head.status == 200) {
    is_whole_ = true;
    size_ = content_length(head.headers);
    return !size_ || *size_ >= part_.offset;
  }
  const auto field = head.headers.get("Content-Range");
  const auto said = field ? http::parse_content_range(*field) : std::nullopt;
  if (head.status != 206 || !said || !said->range) return false;
  if (said->range->first != part_.offset) return false;
  if (part_.length > 0 && said->range->size() > part_.length) return false;
  at_ = part_.offset;
  size_ = said->size;
  return true;
}

RangeAnswer::Piece RangeAnswer::on_body(ByteView bytes) {
  const std::uint64_t begin = at_;
  at_ += bytes.size();
  if (at_ <= next_ || is_full()) return {};
  const auto skipped = static_cast<std::size_t>(next_ - begin);
  ByteView wanted = bytes.subspan(skipped);
  if (part_.length > 0) {
    const std::uint64_t left = part_.offset + part_.length - next_;
    wanted = wanted.first(static_cast<std::size_t>(std::min<std::uint64_t>(left, wanted.size())));
  }
  const Piece piece{next_, wanted};
  next_ += wanted.size();
  return piece;
}

bool RangeAnswer::is_full() const noexcept {
  return part_.length > 0 && next_ == part_.offset + part_.length;
}

void RangeAnswer::on_end() {
  if (is_whole_) size_ = at_;
}

void RangeAnswer::on_unsatisfied(const http::Headers& headers) {
  const auto field = headers.get("Content-Range");
  const auto said = field ? http::parse_content_range(*field) : std::nullopt;
  if (said && !said->range) size_ = said->size;
}

bool RangeAnswer::is_complete() const noexcept {
  return part_.length > 0 ? is_full() : size_ && next_ == *size_;
}

}  // namespace tayga::rescue
