#include "common/base/encoding.hpp"

#include <array>
#include <cstdint>

namespace tayga {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kBase32Digits = "abcdefghijklmnopqrstuvwxyz234567";

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

int base32_value(char c) noexcept {
  if (c >= 'a' && c <= 'z') return c - 'a';
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= '2' && c <= '7') return c - '2' + 26;
  return -1;
}

}  // namespace

std::string to_hex(ByteView bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::byte b : bytes) {
    out.push_back(kHexDigits[std::to_integer<std::size_t>(b >> 4)]);
    out.push_back(kHexDigits[std::to_integer<std::size_t>(b & std::byte{0x0f})]);
  }
  return out;
}

std::optional<Bytes> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  Bytes out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_value(text[i]);
    const int low = hex_value(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out.push_back(static_cast<std::byte>(high << 4 | low));
  }
  return out;
}

std::string to_base32(ByteView bytes) {
  std::string out;
  out.reserve((bytes.size() * 8 + 4) / 5);
  std::uint32_t window = 0;
  unsigned bits = 0;
  for (const std::byte b : bytes) {
    window = window << 8 | std::to_integer<std::uint32_t>(b);
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      out.push_back(kBase32Digits[window >> bits & 31U]);
    }
    window &= (1U << bits) - 1;
  }
  if (bits > 0) out.push_back(kBase32Digits[window << (5 - bits) & 31U]);
  return out;
}

std::optional<Bytes> from_base32(std::string_view text) {
  // A whole number of bytes leaves 0, 2, 4, 5 or 7 characters over a group of 8.
  constexpr std::array<bool, 8> kPossibleRest{true, false, true, false, true, true, false, true};
  if (!kPossibleRest[text.size() % 8]) return std::nullopt;
  Bytes out;
  out.reserve(text.size() * 5 / 8);
  std::uint32_t window = 0;
  unsigned bits = 0;
  for (const char c : text) {
    const int value = base32_value(c);
    if (value < 0) return std::nullopt;
    window = window << 5 | static_cast<std::uint32_t>(value);
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      out.push_back(static_cast<std::byte>(window >> bits & 0xffU));
    }
    window &= (1U << bits) - 1;
  }
  if (window != 0) return std::nullopt;
  return out;
}

}  // namespace tayga
