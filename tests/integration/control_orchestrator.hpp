#pragma once

#include "common/base/bytes.hpp"
#include "common/base/ids.hpp"
#include "common/crypto/ed25519.hpp"
#include "common/crypto/hash.hpp"
#include "daemon/control/join_url.hpp"
#include "tayga/v1/control.pb.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tayga::test {

/// The keys and certificates of one network, as `tayga-orchestrator init` makes them.
struct TestCa {
  TestCa();
  [[nodiscard]] control::JoinUrl join_url(std::uint16_t port) const;
  /// Signed by `root`; valid for a day.
  [[nodiscard]] std::string online_key(const crypto::SigningKey& root) const;

  crypto::SigningKey ca_key;
  crypto::SigningKey root_key;
  crypto::SigningKey online;
  std::string pem;
  crypto::Sha256Digest fingerprint;
};

/// A small orchestrator on a loopback port: welcomes every node, keeps what it is told, says what a
/// test wants said to the newest session. Its threads are gRPC's; all calls are thread-safe.
class TestOrchestrator {
 public:
  enum class Conduct { welcomes, stays_silent, presents_forged_key, serves_other_network, hangs };

  struct Received {
    NodeId node;           ///< proven by its certificate
    unsigned session = 0;  ///< from 1
    v1::NodeMessage message;
  };

  /// Port 0 = any free one.
  explicit TestOrchestrator(const TestCa& ca, std::uint16_t port = 0);
  ~TestOrchestrator();  ///< kills what is left
  TestOrchestrator(const TestOrchestrator&) = delete;
  TestOrchestrator& operator=(const TestOrchestrator&) = delete;

  [[nodiscard]] std::uint16_t port() const;
  void set_conduct(Conduct conduct);
  /// While held back, nothing that arrives is read.
  void hold_back_reads(bool held_back);
  /// False when there is no session.
  bool push(const v1::OrchestratorMessage& message);
  [[nodiscard]] std::vector<Received> received() const;
  [[nodiscard]] unsigned sessions() const;  ///< so far
  /// Ends the newest session, from this side.
  void cut_session();

 private:
  class Service;
  std::unique_ptr<Service> service_;
};

}  // namespace tayga::test
