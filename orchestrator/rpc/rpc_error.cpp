#include "orchestrator/rpc/rpc_error.hpp"

#include <string>

namespace tayga::orch {
namespace {

class RpcCategory final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "tayga.rpc"; }
  std::string message(int value) const override {
    switch (static_cast<RpcErrc>(value)) {
      case RpcErrc::not_protobuf:
        return "the message is not a tayga.v1.NodeMessage";
      case RpcErrc::too_large:
        return "the message is larger than 64 KiB (receipts: 1 MiB)";
      case RpcErrc::unknown_message:
        return "a kind of message that this version does not know";
      case RpcErrc::unsupported_version:
        return "unsupported protocol version: update taygad";
      case RpcErrc::bad_id:
        return "an id or signature has the wrong size";
      case RpcErrc::bad_name:
        return "not a stream name ([a-z0-9][a-z0-9._-]{0,62})";
      case RpcErrc::bad_address:
        return "an endpoint is not a numeric unicast address and port";
      case RpcErrc::bad_enum:
        return "an enumerator is unknown";
      case RpcErrc::too_many:
        return "more elements than a message may hold";
      case RpcErrc::out_of_range:
        return "a number is out of its range";
      case RpcErrc::bad_text:
        return "a text is longer than its limit";
    }
    return "unknown rpc error";
  }
};

}  // namespace

const boost::system::error_category& rpc_category() noexcept {
  static const RpcCategory category;
  return category;
}

}  // namespace tayga::orch
