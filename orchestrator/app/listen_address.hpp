#pragma once

#include <boost/asio/ip/tcp.hpp>

#include <string>
#include <string_view>

namespace tayga::orch {

/// "127.0.0.1:7401" or "[::1]:7401"; port 0 means any free one. Throws StartupError (config) naming
/// `setting`.
boost::asio::ip::tcp::endpoint parse_listen_address(const std::string& text,
                                                    std::string_view setting);

}  // namespace tayga::orch
