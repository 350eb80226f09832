#include "common/transport/session.hpp"

#include <charconv>

namespace tayga::transport {

std::string to_string(const Endpoint& endpoint) {
  const std::string address = endpoint.address.to_string();
  const std::string port = std::to_string(endpoint.port);
  return endpoint.address.is_v6() ? "[" + address + "]:" + port : address + ":" + port;
}

std::optional<Endpoint> parse_endpoint(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);

  Endpoint endpoint;
  const auto [end, bad_port] =
      std::from_chars(digits.data(), digits.data() + digits.size(), endpoint.port);
  if (bad_port != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  error_code bad_address;
  endpoint.address = boost::asio::ip::make_address(host, bad_address);
  if (bad_address || endpoint.address.is_v6() != bracketed) return std::nullopt;
  return endpoint;
}

const char* to_string(CloseInfo::Reason reason) {
  switch (reason) {
    case CloseInfo::Reason::local:
      return "local";
    case CloseInfo::Reason::remote:
      return "remote";
    case CloseInfo::Reason::reset:
      return "reset";
    case CloseInfo::Reason::idle:
      return "idle";
    case CloseInfo::Reason::protocol:
      return "protocol";
    case CloseInfo::Reason::overflow:
      return "overflow";
    case CloseInfo::Reason::stalled:
      return "stalled";
  }
  return "unknown";
}

}  // namespace tayga::transport
