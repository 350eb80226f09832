#pragma once

#include "common/base/bytes.hpp"
#include "tests/sim/frame_bank.hpp"

/// Makes proofs cheap in the simulator alone: there one slice is verified by every node, and one
/// core cannot do real Ed25519 and SHA-256 for hundreds of nodes faster than they do in real time.
///
/// The seam is the linker (`--wrap`, see CMakeLists.txt): calls of crypto::verify,
/// SigningKey::sign, crypto::sha256, wire::serialize_chunk_frame and serialize_shared_frame from
/// the cores of *this program* meet stand-ins; the libraries and every other program are the same
/// bytes as without it.
/// - A signature is a keyed digest of the message: still wrong for any changed byte or another key,
///   but whoever knows the scheme could forge it; the simulator's liars only change bytes. Of a
///   slice header that is delivered as its publisher made it, only the key is compared.
/// - SHA-256 of a frame that is delivered as its publisher made it was computed when it was
///   published. Of any other bytes it is computed: what was tampered with is found.
/// - A verified frame is the frame that was delivered: all nodes share its memory.
namespace tayga::sim {

/// Real ones behind the seam: slow, and the same run (a test compares the trace hashes).
void use_real_proofs(bool real) noexcept;

/// While it lives, `frame` is what is given to a relay. Process-wide, because what the linker
/// replaces takes no more arguments; the simulator has one thread.
class Delivering {
 public:
  /// `slice` and `index` (0 = header) = the genuine frame that it is; nullptr: it is none.
  Delivering(const SharedBytes& frame, const FrameBank::Slice* slice, std::size_t index) noexcept;
  ~Delivering();
  Delivering(const Delivering&) = delete;
  Delivering& operator=(const Delivering&) = delete;
};

}  // namespace tayga::sim
