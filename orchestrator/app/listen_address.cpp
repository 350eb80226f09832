#include "orchestrator/app/listen_address.hpp"

#include "orchestrator/keys/startup_error.hpp"

#include <charconv>
#include <cstdint>

namespace tayga::orch {

boost::asio::ip::tcp::endpoint parse_listen_address(const std::string& text,
                                                    std::string_view setting) {
  const StartupError bad{
      ExitCode::config, std::string{setting} + " is '" + text +
                            "'; write a numeric ADDRESS:PORT such as 127.0.0.1:7400 or [::1]:7400"};
  const auto colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) throw bad;
  std::string host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  std::uint16_t port = 0;
  const char* const begin = text.data() + colon + 1;
  const char* const end = text.data() + text.size();
  const auto [parsed, error] = std::from_chars(begin, end, port);
  boost::system::error_code ec;
  const auto address = boost::asio::ip::make_address(host, ec);
  if (ec || begin == end || error != std::errc{} || parsed != end) throw bad;
  if (address.is_v6() != bracketed) throw bad;
  return {address, port};
}

}  // namespace tayga::orch
