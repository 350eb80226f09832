#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/bytes.hpp"
#include "common/base/ids.hpp"

namespace tayga {

std::string to_hex(ByteView bytes);
/// nullopt on an odd length or a character that is not a hex digit.
std::optional<Bytes> from_hex(std::string_view text);

/// RFC 4648 base32, lower case, without padding: 32 bytes are 52 characters.
std::string to_base32(ByteView bytes);
/// Accepts either case; nullopt on other characters, an impossible length or non-zero spare bits.
std::optional<Bytes> from_base32(std::string_view text);

/// The way a node or stream id is shown to people.
template <class Tag, std::size_t Size>
std::string to_string(const OpaqueId<Tag, Size>& id) {
  return to_base32(id.view());
}
/// First 8 characters: enough to tell nodes apart in a log line, never used to look one up.
template <class Tag, std::size_t Size>
std::string short_string(const OpaqueId<Tag, Size>& id) {
  return to_base32(id.view()).substr(0, 8);
}
/// nullopt unless the text is the base32 form of exactly that many bytes.
template <class Id>
std::optional<Id> id_from_string(std::string_view text) {
  const auto bytes = from_base32(text);
  if (!bytes) return std::nullopt;
  return Id::from(*bytes);
}

}  // namespace tayga
