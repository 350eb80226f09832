#include "common/transport/transport.hpp"

namespace tayga::transport {
namespace {

class TransportCategory final : public boost::system::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "tayga.transport"; }

  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<TransportErrc>(value)) {
      case TransportErrc::address_in_use:
        return "the address is in use by another program";
      case TransportErrc::listen_failed:
        return "cannot listen on the address";
      case TransportErrc::connect_failed:
        return "cannot connect to the peer";
      case TransportErrc::handshake_failed:
        return "the peer did not complete a tayga/1 handshake";
      case TransportErrc::wrong_peer:
        return "the peer proved another key than the expected node id";
      case TransportErrc::timed_out:
        return "the peer did not answer in time";
      case TransportErrc::too_many_sessions:
        return "the limit of sessions is reached";
    }
    return "unknown transport error";
  }
};

}  // namespace

const boost::system::error_category& transport_category() noexcept {
  static const TransportCategory category;
  return category;
}

}  // namespace tayga::transport
