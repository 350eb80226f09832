#include "common/base/check.hpp"
#include "common/media/receipts.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <algorithm>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tayga;
  const ByteView blob = fuzz::to_view(data, size);
  const auto key = media::parse_online_key(blob);
  if (!key) return 0;
  TAYGA_CHECK(0 <= key->not_before_ms && key->not_before_ms <= key->not_after_ms);
  TAYGA_CHECK(key->not_after_ms - key->not_before_ms <= media::kOnlineKeyTermMaxMs);
  const auto body = media::serialize_online_key_body(*key);
  TAYGA_CHECK(std::ranges::equal(body, blob.first(body.size())));
  return 0;
}
