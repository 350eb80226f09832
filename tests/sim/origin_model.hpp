#pragma once

#include "tests/sim/live_source.hpp"
#include "tests/sim/trial.hpp"

#include <algorithm>
#include <cstdint>

namespace tayga::sim {

/// The web server that has the stream's files: answers ranges one round trip and the transfer
/// later.
class Trial::Origin {
 public:
  Origin(SimNet& net, const LiveSource& source) : net_{net}, source_{source} {}

  void fetch(NodeIndex node, const relay::Relay::FetchOrigin& wanted) {
    constexpr Duration kRoundTrip = 60ms;  // with connection reuse
    constexpr std::size_t kBytesPerMs = 2500;
    const Bytes* file = source_.find_file(wanted.path);
    if (file == nullptr || wanted.offset > file->size()) {
      net_.at(net_.now() + kRoundTrip, [this, node, request = wanted.request] {
        net_.give(node, [request](relay::Relay& relay, relay::Now now) {
          relay.on_origin_done(request, relay::Relay::OriginDone{}, now);
        });
      });
      return;
    }
    const std::uint64_t rest = file->size() - wanted.offset;
    const std::uint64_t length = wanted.length == 0 ? rest : std::min(rest, wanted.length);
    const auto begin = file->begin() + static_cast<std::ptrdiff_t>(wanted.offset);
    Bytes part(begin, begin + static_cast<std::ptrdiff_t>(length));
    bytes_out_ += length;
    const Duration transfer{static_cast<Duration::rep>(length * 1000 / kBytesPerMs)};
    net_.at(net_.now() + kRoundTrip + transfer,
            [this, node, wanted, part = std::move(part), size = file->size()] {
              net_.give(node, [=](relay::Relay& relay, relay::Now now) {
                relay.on_origin_bytes(wanted.request, wanted.offset, part, now);
                relay.on_origin_done(wanted.request, relay::Relay::OriginDone{true, size}, now);
              });
            });
  }
  [[nodiscard]] std::uint64_t bytes_out() const noexcept { return bytes_out_; }

 private:
  SimNet& net_;
  const LiveSource& source_;
  std::uint64_t bytes_out_ = 0;
};

}  // namespace tayga::sim
