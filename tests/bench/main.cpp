#include "common/crypto/ed25519.hpp"
#include "tests/bench/bench.hpp"

#include <boost/json/serialize.hpp>

#include <array>
#include <cstdio>
#include <exception>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

// One line per bench: X(name, what it measures). Each is a function bench_NAME in a file of its
// own.
#ifdef TAYGA_BENCH_ORCHESTRATOR
#define TAYGA_ORCHESTRATOR_BENCHES(X)                                     \
  X(receipts, "receipts verified and settled, durable before the answer") \
  X(solver, "a stream's trees from nothing, and after a viewer left")
#else
#define TAYGA_ORCHESTRATOR_BENCHES(X)
#endif
#define TAYGA_BENCHES(X)                                                       \
  X(bulk, "one session at full speed, beside what others reach")               \
  X(chunk_verify, "slice signatures and chunk hashes, as a relay checks them") \
  X(fanout, "one relay feeding many children over real sockets")               \
  X(flood, "QUIC Initials from made-up sources at a relay with children")      \
  X(hop, "the time that one relay adds, idle and half loaded")                 \
  X(limits, "the machine's own ceilings: sockets, TLS, the cipher alone")      \
  X(lossy, "a live stream over links with delay, loss and too much buffer")    \
  X(relay_forward, "the relay's core alone: one chunk to many children")       \
  X(sessions, "memory of a session, cost of a handshake")                      \
  TAYGA_ORCHESTRATOR_BENCHES(X)

namespace tayga::bench {

#define TAYGA_DECLARE(name, summary) boost::json::object bench_##name(const Args& args);
TAYGA_BENCHES(TAYGA_DECLARE)
#undef TAYGA_DECLARE

namespace {

struct Bench {
  std::string_view name;
  std::string_view summary;
  BenchFunction run;
};

#define TAYGA_ENTRY(name, summary) Bench{#name, summary, bench_##name},
constexpr std::array kBenches{TAYGA_BENCHES(TAYGA_ENTRY)};
#undef TAYGA_ENTRY

constexpr int kExitOk = 0;
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 64;

int usage(const std::string& what) {
  std::fprintf(stderr,
               "tayga-bench: %s\n"
               "usage: tayga-bench NAME [--json] [--KEY [VALUE]...]\n"
               "       tayga-bench --list\n",
               what.c_str());
  return kExitUsage;
}

void print_list() {
  for (const Bench& bench : kBenches) {
    std::printf("%-16.*s %.*s\n", static_cast<int>(bench.name.size()), bench.name.data(),
                static_cast<int>(bench.summary.size()), bench.summary.data());
  }
}

const Bench* find_bench(std::string_view name) {
  for (const Bench& bench : kBenches) {
    if (bench.name == name) return &bench;
  }
  return nullptr;
}

int run(int argc, char** argv) {
  if (argc < 2) return usage("which bench?");
  if (std::string_view{argv[1]} == "--list") {
    print_list();
    return kExitOk;
  }
  const Bench* bench = find_bench(argv[1]);
  if (bench == nullptr) return usage("no bench '" + std::string{argv[1]} + "'; see --list");

  bool as_json = false;
  std::map<std::string, std::string> values;
  for (int i = 2; i < argc; ++i) {
    const std::string_view flag{argv[i]};
    if (flag == "--json") {
      as_json = true;
    } else if (!flag.starts_with("--")) {
      return usage("'" + std::string{flag} + "' is not --KEY VALUE");
    } else {
      const bool has_value = i + 1 < argc && !std::string_view{argv[i + 1]}.starts_with("--");
      values[std::string{flag.substr(2)}] = has_value ? argv[++i] : "";
    }
  }
  const Args args{std::move(values)};
  const boost::json::object figures = bench->run(args);
  if (const std::string key = args.unknown_key(); !key.empty()) {
    return usage("bench '" + std::string{bench->name} + "' knows no --" + key);
  }
  if (as_json) std::printf("%s\n", boost::json::serialize(figures).c_str());
  return kExitOk;
}

}  // namespace
}  // namespace tayga::bench

int main(int argc, char** argv) {
  try {
    tayga::crypto::init();
    return tayga::bench::run(argc, argv);
  } catch (const std::invalid_argument& e) {
    return tayga::bench::usage(e.what());
  } catch (const std::exception& e) {
    std::fprintf(stderr, "tayga-bench: %s\n", e.what());
    return tayga::bench::kExitFailed;
  }
}
