#include "common/base/check.hpp"
#include "common/media/receipts.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <algorithm>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tayga;
  const ByteView blob = fuzz::to_view(data, size);
  const auto allocation = wire::parse_allocation(blob);
  // A key that signed nothing: whatever parses must still be refused.
  TAYGA_CHECK(!media::verify_allocation(blob, crypto::PublicKey{}));
  if (!allocation) return 0;
  TAYGA_CHECK(0 <= allocation->not_before_ms);
  TAYGA_CHECK(allocation->not_before_ms <= allocation->not_after_ms);
  const auto body = wire::serialize_allocation_body(*allocation);
  TAYGA_CHECK(std::ranges::equal(body, blob.first(body.size())));
  return 0;
}
