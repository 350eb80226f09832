#pragma once

namespace tayga::transport {

/// AES-GCM is several times as fast as ChaCha20 where the CPU has AES, and several times slower
/// elsewhere: both transports prefer what this says.
[[nodiscard]] bool cpu_has_aes() noexcept;

}  // namespace tayga::transport
