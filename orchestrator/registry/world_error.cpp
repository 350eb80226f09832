#include "orchestrator/registry/world_error.hpp"

#include <string>

namespace tayga::orch {
namespace {

const char* describe(WorldErrc e) noexcept {
  switch (e) {
    case WorldErrc::stream_exists:
      return "a stream of this name exists already";
    case WorldErrc::stream_not_found:
      return "no such stream";
    case WorldErrc::bad_stream_name:
      return "a stream name has 1 to 63 characters of a-z 0-9 . _ - and begins with a letter or "
             "digit";
    case WorldErrc::bad_stripe_count:
      return "a stream has 1 to 32 stripes";
    case WorldErrc::streams_full:
      return "the limit of streams is reached; remove one first";
    case WorldErrc::nodes_full:
      return "the limit of nodes is reached";
    case WorldErrc::bad_hello:
      return "the hello names too many endpoints or streams, or too long a text";
    case WorldErrc::node_not_connected:
      return "the node is not connected";
    case WorldErrc::not_a_gateway:
      return "the node does not have the gateway role";
    case WorldErrc::other_gateway:
      return "another gateway publishes this stream; to move it, remove the stream and add it "
             "again";
    case WorldErrc::other_key:
      return "the stream is pinned to another key; restore the gateway's stream key, or remove the "
             "stream and add it again";
    case WorldErrc::key_in_use:
      return "another stream has this key already";
    case WorldErrc::old_publisher_epoch:
      return "a later run of the publisher is known; check the gateway's clock";
    case WorldErrc::bad_tracks:
      return "the tracks are too many, listed twice, or have an unsafe path";
    case WorldErrc::bad_claim:
      return "the claim's signature is not the stream key's over this network, gateway and name";
  }
  return "unknown registry error";
}

class WorldCategory final : public boost::system::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "tayga.registry"; }
  [[nodiscard]] std::string message(int value) const override {
    return describe(static_cast<WorldErrc>(value));
  }
};

}  // namespace

const boost::system::error_category& world_category() noexcept {
  static const WorldCategory category;
  return category;
}

}  // namespace tayga::orch
