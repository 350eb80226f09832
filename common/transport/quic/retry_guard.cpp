#include "common/transport/quic/retry_guard.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace tayga::transport::quic {
namespace {

std::uint64_t to_ns(Duration d) noexcept {
  return static_cast<std::uint64_t>(d.count()) * 1000U;
}

/// The end of a token is random, or unforgeable: its last bytes name it.
std::optional<std::uint64_t> name_of(const std::uint8_t* token, std::size_t size) noexcept {
  std::uint64_t name = 0;
  if (size < sizeof name) return std::nullopt;
  std::memcpy(&name, token + size - sizeof name, sizeof name);
  return name;
}

}  // namespace

RetryGuard::RetryGuard(std::span<const std::byte, 32> key) {
  std::memcpy(key_.data(), key.data(), key_.size());
}

std::size_t RetryGuard::write_retry(std::span<std::uint8_t> out, const ngtcp2_pkt_hd& header,
                                    const UdpAddress& remote, const ngtcp2_cid& source,
                                    TimePoint now) const {
  std::array<std::uint8_t, NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN> token;
  const ngtcp2_ssize token_size = ngtcp2_crypto_generate_retry_token(
      token.data(), key_.data(), key_.size(), header.version, remote.data(), remote.size(), &source,
      &header.dcid, to_ns(now.time_since_epoch()));
  if (token_size < 0) return 0;
  const ngtcp2_ssize size =
      ngtcp2_crypto_write_retry(out.data(), out.size(), header.version, &header.scid, &source,
                                &header.dcid, token.data(), static_cast<std::size_t>(token_size));
  return size < 0 ? 0 : static_cast<std::size_t>(size);
}

std::optional<ngtcp2_cid> RetryGuard::redeem(const ngtcp2_pkt_hd& header, const UdpAddress& remote,
                                             TimePoint now) {
  std::size_t size = 0;
  const std::uint8_t* const token = shim::token_of(header, size);
  const std::optional<std::uint64_t> name = name_of(token, size);
  ngtcp2_cid original{};
  if (!name ||
      ngtcp2_crypto_verify_retry_token(&original, token, size, key_.data(), key_.size(),
                                       header.version, remote.data(), remote.size(), &header.dcid,
                                       to_ns(kTokenLifetime), to_ns(now.time_since_epoch())) != 0) {
    return std::nullopt;
  }
  forget_expired(now);
  if (used_.size() >= kUsedMax / 2 || used_before_.contains(*name)) return std::nullopt;
  if (!used_.insert(*name).second) return std::nullopt;
  return original;
}

void RetryGuard::forget_expired(TimePoint now) {
  if (now - generation_began_ < kTokenLifetime) return;
  used_before_.clear();
  // Longer than two lifetimes: the newer generation has expired as well.
  if (now - generation_began_ < 2 * kTokenLifetime) used_before_.swap(used_);
  used_.clear();
  generation_began_ = now;
}

}  // namespace tayga::transport::quic
