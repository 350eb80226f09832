#pragma once

#include "common/base/bytes.hpp"
#include "common/base/ids.hpp"
#include "common/base/time.hpp"
#include "common/crypto/hash.hpp"
#include "common/wire/allocation.hpp"
#include "orchestrator/ledger/ledger.hpp"
#include "orchestrator/model/records.hpp"
#include "orchestrator/registry/world.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

/// What nodes and the orchestrator say to each other, as checked values: protobuf ends in
/// mapping.cpp.
namespace tayga::orch {

// ---- from a node ----

struct Hello {
  NodeRecord node;  ///< the shell fills first_seen_ms and last_seen_ms
  std::vector<World::Held> held;
};
struct JoinRequest {
  std::string stream_name;
  std::vector<TrackId> tracks;
};
struct LeaveRequest {
  std::string stream_name;
};
struct ReceiptBatch {
  std::uint64_t batch = 0;
  std::vector<Bytes> items;  ///< as sent; the ledger judges their layout
};
/// Not judged yet: see tamper_evidence.hpp in orchestrator/app.
struct TamperReport {
  NodeId sender;
  Bytes slice_header;
  Bytes chunk;
};
struct Goodbye {
  std::string reason;
};

using NodeEvent = std::variant<Hello, Telemetry, JoinRequest, LeaveRequest, World::Publish,
                               ReceiptBatch, World::LinkFailure, TamperReport, Goodbye>;

// ---- to a node ----

struct Welcome {
  NetworkId network;
  std::uint64_t time_ms = 0;
  std::uint64_t incarnation = 0;
  Duration telemetry_interval = 1s;
  Duration receipt_submit_interval = 10min;
  std::vector<Bytes> online_keys;  ///< newest first
  Bytes observed_address;          ///< 4 or 16 bytes, or none
};

/// A NodeAssignment with everything that its node needs to act on it.
struct IssuedAssignment {
  std::uint64_t incarnation = 0;
  NodeAssignment target;
  std::string stream_name;
  unsigned stripe_count = 1;
  std::vector<StreamHandle> handles;
  Duration window{};
  std::vector<TrackRecord> tracks;
  std::string origin_url;
  std::vector<std::pair<NodeId, std::vector<Endpoint>>> peers;
  std::vector<wire::AllocationBlob> allocations;
};

struct PublishOffer {
  std::string stream_name;
  unsigned stripe_count = 1;
  crypto::Sha256Digest ingest_key_hash{};
  std::string origin_url;
  Duration window{};
};
struct PublishWithdrawal {
  std::string stream_name;
};
struct ReceiptAnswers {
  std::uint64_t batch = 0;
  std::vector<SettleAnswer> items;
};
struct JoinRefusal {
  std::string stream_name;
  World::RefuseJoin::Reason reason = World::RefuseJoin::Reason::no_such_stream;
  std::string message;
};
struct DrainNotice {
  Duration grace{};
};
struct BanNotice {
  std::string reason;
};

using OrchestratorEvent = std::variant<Welcome, IssuedAssignment, PublishOffer, PublishWithdrawal,
                                       ReceiptAnswers, JoinRefusal, DrainNotice, BanNotice>;

}  // namespace tayga::orch
