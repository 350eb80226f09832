#include "common/base/check.hpp"
#include "common/media/slice.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <algorithm>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tayga;
  const ByteView payload = fuzz::to_view(data, size);
  const auto header = media::parse_slice_header(payload);
  if (!header) return 0;
  TAYGA_CHECK(payload.size() <= media::kSliceHeaderSizeMax);
  TAYGA_CHECK(header->offset + header->length <= media::kObjectSizeMax);
  TAYGA_CHECK(header->first == media::is_safe_path(header->path));

  // One header has one encoding: what precedes the signature comes out as it came in.
  const Bytes body = media::serialize_slice_header_body(*header);
  TAYGA_CHECK(body.size() + 64 == payload.size());
  TAYGA_CHECK(std::ranges::equal(body, payload.first(body.size())));

  std::size_t total = 0;
  for (std::size_t i = 0; i < header->chunk_count(); ++i) total += header->chunk_size(i);
  TAYGA_CHECK(total == header->length);
  for (std::size_t i = 0; i <= header->chunk_count(); ++i) {
    TAYGA_CHECK(!media::verify_chunk(*header, i, {}));
  }
  return 0;
}
