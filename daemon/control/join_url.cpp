#include "daemon/control/join_url.hpp"

#include "common/base/encoding.hpp"

#include <boost/asio/ip/address_v6.hpp>

#include <algorithm>
#include <charconv>
#include <optional>

namespace tayga::control {

namespace {

constexpr std::string_view kScheme = "tayga://";
constexpr std::size_t kFingerprintChars = 52;
constexpr std::size_t kHostSizeMax = 253;  // RFC 1035, section 2.3.4
constexpr std::size_t kShownMax = 80;      // of a bad value, in a message

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const auto first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

JoinUrlError make_error(std::string_view part, std::string_view value, std::string_view remedy) {
  std::string shown{value.substr(0, kShownMax)};
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  if (value.size() > kShownMax) shown += "...";
  std::string message = "join URL: ";
  message.append(part).append(" \"").append(shown).append("\": ").append(remedy);
  return {std::move(message)};
}

constexpr std::string_view kCopyAgain =
    "copy the whole line that `tayga-orchestrator init` printed, form "
    "tayga://HOST:PORT/FINGERPRINT";

bool is_host_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_';
}

bool is_host(std::string_view host) {
  return !host.empty() && host.size() <= kHostSizeMax &&
         std::all_of(host.begin(), host.end(), is_host_char);
}

bool is_ipv6(std::string_view host) {
  boost::system::error_code ec;
  boost::asio::ip::make_address_v6(std::string{host}, ec);
  return !ec;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (ec != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

struct Authority {
  std::string_view host;
  std::string_view port;
};

/// Splits at the last colon outside of brackets; nullopt when there is no port.
std::optional<Authority> split_authority(std::string_view text) {
  const auto colon = text.rfind(':');
  const auto bracket = text.rfind(']');
  if (colon == std::string_view::npos) return std::nullopt;
  if (bracket != std::string_view::npos && colon < bracket) return std::nullopt;
  return Authority{text.substr(0, colon), text.substr(colon + 1)};
}

}  // namespace

NetworkId JoinUrl::network_id() const noexcept {
  return *NetworkId::from(ByteView{fingerprint}.first(NetworkId::kSize));
}

std::variant<JoinUrl, JoinUrlError> parse_join_url(std::string_view text) {
  text = trim(text);
  if (!text.starts_with(kScheme)) {
    return make_error("the line", text, "does not begin with tayga://; " + std::string{kCopyAgain});
  }
  const std::string_view rest = text.substr(kScheme.size());
  const auto slash = rest.find('/');
  if (slash == std::string_view::npos) {
    return make_error("fingerprint", "", "is missing; " + std::string{kCopyAgain});
  }
  const auto authority = split_authority(rest.substr(0, slash));
  if (!authority) {
    return make_error(
        "port", rest.substr(0, slash),
        "there is none; write HOST:PORT, the orchestrator listens on 7400 by default");
  }
  JoinUrl url;
  std::string_view host = authority->host;
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
    if (!is_ipv6(host)) return make_error("host", host, "is not an IPv6 address");
  } else if (is_ipv6(host)) {
    return make_error("host", host, "put an IPv6 address in brackets: [ADDRESS]:PORT");
  } else if (!is_host(host)) {
    return make_error("host", host, "is neither a host name nor an address");
  }
  url.host = host;
  const auto port = parse_port(authority->port);
  if (!port) return make_error("port", authority->port, "must be a number from 1 to 65535");
  url.port = *port;

  const std::string_view fingerprint = rest.substr(slash + 1);
  const auto bytes = from_base32(fingerprint);
  if (fingerprint.size() != kFingerprintChars || !bytes) {
    return make_error("fingerprint", fingerprint,
                      "must be 52 characters of a-z and 2-7 (it has " +
                          std::to_string(fingerprint.size()) + "); " + std::string{kCopyAgain});
  }
  std::copy(bytes->begin(), bytes->end(), url.fingerprint.begin());
  return url;
}

std::string format_join_url(const JoinUrl& url) {
  const bool is_v6 = url.host.find(':') != std::string::npos;
  std::string text{kScheme};
  text += is_v6 ? "[" + url.host + "]" : url.host;
  text += ":" + std::to_string(url.port) + "/" + to_base32(url.fingerprint);
  return text;
}

}  // namespace tayga::control
