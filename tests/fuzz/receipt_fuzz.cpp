#include "common/base/check.hpp"
#include "common/media/receipts.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <algorithm>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tayga;
  const ByteView blob = fuzz::to_view(data, size);
  const auto receipt = wire::parse_receipt(blob);
  if (!receipt) return 0;
  const auto body = wire::serialize_receipt_body(*receipt);
  TAYGA_CHECK(std::ranges::equal(body, blob.first(body.size())));

  // The allocation that it names, with a receiver that signed nothing.
  wire::Allocation allocation;
  allocation.id = receipt->allocation;
  allocation.network = receipt->network;
  TAYGA_CHECK(!media::verify_receipt(blob, allocation));
  return 0;
}
