#pragma once

#include "common/crypto/ed25519.hpp"
#include "common/media/receipts.hpp"

namespace tayga::sim {

/// The keys of a run's network and of its one stream: from fixed seeds, the same in every run.
struct SimTrust {
  SimTrust();

  NetworkId network;
  crypto::SigningKey root;
  crypto::SigningKey online;
  crypto::SigningKey stream;
  media::OnlineKey online_key;
};

}  // namespace tayga::sim
