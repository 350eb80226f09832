#include "orchestrator/store/record_codec.hpp"

#include "common/base/check.hpp"
#include "orchestrator/store/store_error.hpp"

#include <boost/endian/conversion.hpp>

#include <algorithm>
#include <cstring>

namespace tayga::orch {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kTextMax = 64 * 1024;
constexpr std::size_t kListMax = 1024;

class Encoder {
 public:
  template <class Unsigned>
  void integer(Unsigned value) {
    const Unsigned big = boost::endian::native_to_big(value);
    out_.append(reinterpret_cast<const char*>(&big), sizeof big);
  }
  void time(std::int64_t value) { integer(static_cast<std::uint64_t>(value)); }
  void raw(ByteView bytes) { out_.append(as_text(bytes)); }
  void text(std::string_view text) {
    TAYGA_CHECK(text.size() <= kTextMax);
    integer(static_cast<std::uint32_t>(text.size()));
    out_.append(text);
  }
  template <class Id>
  void optional_id(const std::optional<Id>& id) {
    integer<std::uint8_t>(id ? 1 : 0);
    if (id) raw(id->view());
  }
  void size(std::size_t size) {
    TAYGA_CHECK(size <= kListMax);
    integer(static_cast<std::uint32_t>(size));
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

/// After the first value that is not there everything reads as zero, and ok() is false.
class Decoder {
 public:
  explicit Decoder(std::string_view in) : in_{in} {}

  template <class Unsigned>
  Unsigned integer() {
    Unsigned big{};
    const std::string_view bytes = take(sizeof big);
    if (bytes.size() == sizeof big) std::memcpy(&big, bytes.data(), sizeof big);
    return boost::endian::big_to_native(big);
  }
  std::int64_t time() { return static_cast<std::int64_t>(integer<std::uint64_t>()); }
  template <std::size_t Size>
  void raw(std::array<std::byte, Size>& out) {
    const ByteView bytes = as_bytes(take(Size));
    if (bytes.size() == Size) std::copy(bytes.begin(), bytes.end(), out.begin());
  }
  std::string text() {
    const auto size = integer<std::uint32_t>();
    return std::string{take(size)};
  }
  template <class Id>
  std::optional<Id> optional_id() {
    const auto is_set = integer<std::uint8_t>();
    if (is_set > 1) ok_ = false;
    if (is_set != 1) return std::nullopt;
    Id id;
    raw(id.bytes);
    return id;
  }
  std::size_t size() {
    const auto size = integer<std::uint32_t>();
    if (size > kListMax) ok_ = false;
    return ok_ ? size : 0;
  }
  /// Everything was there, and nothing is left.
  [[nodiscard]] bool is_whole() const { return ok_ && in_.empty(); }

 private:
  std::string_view take(std::size_t size) {
    if (!ok_ || size > in_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view part = in_.substr(0, size);
    in_.remove_prefix(size);
    return part;
  }

  std::string_view in_;
  bool ok_ = true;
};

error_code check_version(Decoder& in) {
  const auto version = in.integer<std::uint8_t>();
  if (version > kVersion) return StoreErrc::newer_version;
  return version == kVersion ? error_code{} : StoreErrc::corrupt;
}

}  // namespace

std::string encode_node(const NodeRecord& node) {
  Encoder out;
  out.integer(kVersion);
  out.raw(node.id.view());
  out.text(node.name);
  out.text(node.software);
  out.integer(node.roles);
  out.size(node.endpoints.size());
  for (const Endpoint& endpoint : node.endpoints) {
    out.text(endpoint.address);
    out.integer(endpoint.port);
  }
  out.integer(node.declared_upload_bps);
  out.integer(node.children_max);
  out.time(node.first_seen_ms);
  out.time(node.last_seen_ms);
  out.text(node.ban_reason);
  return out.take();
}

Result<NodeRecord> decode_node(std::string_view bytes) {
  Decoder in{bytes};
  if (const error_code error = check_version(in)) return error;
  NodeRecord node;
  in.raw(node.id.bytes);
  node.name = in.text();
  node.software = in.text();
  node.roles = in.integer<Roles>();
  node.endpoints.resize(in.size());
  for (Endpoint& endpoint : node.endpoints) {
    endpoint.address = in.text();
    endpoint.port = in.integer<std::uint16_t>();
  }
  node.declared_upload_bps = in.integer<std::uint64_t>();
  node.children_max = in.integer<std::uint32_t>();
  node.first_seen_ms = in.time();
  node.last_seen_ms = in.time();
  node.ban_reason = in.text();
  if (!in.is_whole()) return StoreErrc::corrupt;
  return node;
}

std::string encode_stream(const StreamRecord& stream) {
  Encoder out;
  out.integer(kVersion);
  out.text(stream.name);
  out.integer(static_cast<std::uint32_t>(stream.stripe_count));
  out.raw(stream.ingest_key_hash);
  out.text(stream.origin_url);
  out.optional_id(stream.gateway);
  out.time(stream.playout_window.count());
  out.time(stream.created_ms);
  out.optional_id(stream.id);
  out.size(stream.tracks.size());
  for (const TrackRecord& track : stream.tracks) {
    out.integer(track.id.value());
    out.text(track.playlist_path);
    out.integer(track.bitrate_bps);
  }
  out.integer(stream.publisher_epoch);
  return out.take();
}

Result<StreamRecord> decode_stream(std::string_view bytes) {
  Decoder in{bytes};
  if (const error_code error = check_version(in)) return error;
  StreamRecord stream;
  stream.name = in.text();
  stream.stripe_count = in.integer<std::uint32_t>();
  in.raw(stream.ingest_key_hash);
  stream.origin_url = in.text();
  stream.gateway = in.optional_id<NodeId>();
  stream.playout_window = Duration{in.time()};
  stream.created_ms = in.time();
  stream.id = in.optional_id<StreamId>();
  stream.tracks.resize(in.size());
  for (TrackRecord& track : stream.tracks) {
    track.id = TrackId{in.integer<std::uint32_t>()};
    track.playlist_path = in.text();
    track.bitrate_bps = in.integer<std::uint64_t>();
  }
  stream.publisher_epoch = in.integer<std::uint32_t>();
  const bool has_stripes = stream.stripe_count >= 1 && stream.stripe_count <= kStripeCountMax;
  if (!in.is_whole() || !has_stripes) return StoreErrc::corrupt;
  return stream;
}

std::string encode_account_key(std::uint32_t epoch, const AllocationId& id) {
  Encoder out;
  out.integer(epoch);
  out.raw(id.view());
  return out.take();
}

std::string encode_account(const Account& account) {
  Encoder out;
  out.integer(kVersion);
  out.raw(account.sender.view());
  out.raw(account.receiver.view());
  out.raw(account.stream.view());
  out.integer(account.cum_bytes);
  out.integer(account.cum_late_bytes);
  out.integer(account.seq);
  return out.take();
}

Result<Account> decode_account(std::string_view key, std::string_view value) {
  Account account;
  Decoder key_in{key};
  account.epoch = key_in.integer<std::uint32_t>();
  key_in.raw(account.allocation.bytes);
  Decoder in{value};
  if (const error_code error = check_version(in)) return error;
  in.raw(account.sender.bytes);
  in.raw(account.receiver.bytes);
  in.raw(account.stream.bytes);
  account.cum_bytes = in.integer<std::uint64_t>();
  account.cum_late_bytes = in.integer<std::uint64_t>();
  account.seq = in.integer<std::uint32_t>();
  if (!key_in.is_whole() || !in.is_whole()) return StoreErrc::corrupt;
  return account;
}

std::string encode_log_key(std::uint32_t epoch, std::uint64_t arrival) {
  Encoder out;
  out.integer(epoch);
  out.integer(arrival);
  return out.take();
}

std::string encode_state(const StoreState& state) {
  Encoder out;
  out.integer(kVersion);
  out.integer(state.commits);
  out.integer(state.log_entries);
  return out.take();
}

Result<StoreState> decode_state(std::string_view bytes) {
  Decoder in{bytes};
  if (const error_code error = check_version(in)) return error;
  StoreState state;
  state.commits = in.integer<std::uint64_t>();
  state.log_entries = in.integer<std::uint64_t>();
  if (!in.is_whole()) return StoreErrc::corrupt;
  return state;
}

}  // namespace tayga::orch
