#include "tests/bench/bench.hpp"
#include "tests/bench/handshake_crypto.hpp"
#include "tests/bench/live_run.hpp"
#include "tests/bench/session_pool.hpp"

#include <algorithm>
#include <cstdio>
#include <stdexcept>

namespace tayga::bench {

boost::json::object bench_sessions(const Args& args);

namespace {

constexpr std::size_t kWarmSessions = 8;  // what the first sessions bring is not theirs
constexpr std::size_t kTransports = 8;
constexpr std::size_t kUsedBytes = 1 << 20;

struct SessionCosts {
  double idle_bytes = 0;   ///< resident, at the acceptor, per session that was never used
  double used_bytes = 0;   ///< after each carried kUsedBytes and was idle again
  double handshake_s = 0;  ///< CPU of both sides
};

struct SessionsRun {
  std::size_t sessions;
  std::size_t handshakes;
  Duration idle;
};

/// Every handshake from a transport of its own: a second one to the same peer would be resumed.
double handshake_seconds(Role& acceptor, Role& dialer, std::uint16_t port, std::size_t count) {
  dialer.ask("make", {{"transports", count}});
  const double before = number(acceptor.ask("usage"), "cpu_s");
  const double dialing = number(dialer.ask("dial", {{"port", port}, {"sessions", 1}}), "cpu_s");
  const double accepting = number(acceptor.ask("usage"), "cpu_s") - before;
  return (dialing + accepting) / static_cast<double>(count);
}

SessionCosts measure_sessions(transport::Kind kind, const SessionsRun& run) {
  TransportSetup setup;
  setup.kind = kind;
  setup.sessions_max = run.sessions + run.handshakes + 2 * kWarmSessions;
  const auto key = crypto::SigningKey::generate();
  const auto acceptor = start_acceptor(setup, key, cpu_for(0));
  const auto port = acceptor->receive().at("port").to_number<std::uint16_t>();
  const auto dialer = start_dialer(setup, key.node_id(), cpu_for(1));
  (void)dialer->receive();
  const auto rest = [&] { sleep_until_wall(wall_us() + run.idle.count()); };
  const auto resident = [&] { return number(acceptor->ask("usage"), "rss_bytes"); };

  dialer->ask("make", {{"transports", kWarmSessions}});
  dialer->ask("dial", {{"port", port}, {"sessions", 1}});
  acceptor->ask("feed", {{"bytes", kUsedBytes}});
  rest();
  const double before = resident();
  SessionCosts costs;
  dialer->ask("make", {{"transports", std::min(kTransports, run.sessions)}});
  const std::size_t each = run.sessions / std::min(kTransports, run.sessions);
  dialer->ask("dial", {{"port", port}, {"sessions", each}});
  const double count = static_cast<double>(each * std::min(kTransports, run.sessions));
  rest();
  costs.idle_bytes = (resident() - before) / count;
  acceptor->ask("feed", {{"bytes", kUsedBytes}});
  rest();
  costs.used_bytes = (resident() - before) / count;
  costs.handshake_s = handshake_seconds(*acceptor, *dialer, port, run.handshakes);
  if (number(acceptor->ask("usage"), "ended") != 0) {
    throw std::runtime_error{"a session ended meanwhile: these figures are of fewer sessions"};
  }
  return costs;
}

void report(const char* name, const SessionCosts& costs, double crypto_s) {
  std::printf(
      "%-5s %6.1f KB a session (%.1f KB after use), %5.0f handshakes/s of one core for "
      "both sides: %.2f of what their signatures and key exchanges allow\n",
      name, costs.idle_bytes / 1e3, costs.used_bytes / 1e3, 1 / costs.handshake_s,
      crypto_s / costs.handshake_s);
}

}  // namespace

/// What a session costs where it is accepted, in a process of its own, and what handshakes cost
/// beside the cryptography that they cannot do without.
boost::json::object bench_sessions(const Args& args) {
  SessionsRun run{};
  run.sessions = static_cast<std::size_t>(args.count("sessions", 500));
  run.handshakes = static_cast<std::size_t>(args.count("handshakes", 128));
  run.idle =
      std::chrono::duration_cast<Duration>(std::chrono::duration<double>(args.number("idle", 2)));
  const double crypto_seconds = args.number("crypto", 0.5);
  if (run.sessions == 0 || run.handshakes == 0) {
    throw std::invalid_argument{"--sessions and --handshakes are above zero"};
  }
  allow_files(2 * (run.sessions + run.handshakes) + 128);
  const SessionCosts quic = measure_sessions(transport::Kind::quic, run);
  const SessionCosts tls = measure_sessions(transport::Kind::tcp, run);
  const HandshakeCrypto crypto = measure_handshake_crypto(crypto_seconds);
  report("QUIC", quic, crypto.nettle_s);
  report("TLS", tls, crypto.openssl_s);
  const double quic_ratio = crypto.nettle_s / quic.handshake_s;
  const double tls_ratio = crypto.openssl_s / tls.handshake_s;
  return {{"bench", "sessions"},
          {"cpus", usable_cpus().size()},
          {"sessions", run.sessions},
          {"quic_session_bytes", quic.idle_bytes},
          {"tls_session_bytes", tls.idle_bytes},
          {"quic_used_session_bytes", quic.used_bytes},
          {"tls_used_session_bytes", tls.used_bytes},
          {"quic_handshakes_per_core_s", 1 / quic.handshake_s},
          {"tls_handshakes_per_core_s", 1 / tls.handshake_s},
          {"quic_crypto_per_core_s", 1 / crypto.nettle_s},
          {"tls_crypto_per_core_s", 1 / crypto.openssl_s},
          {"quic_handshake_ratio", quic_ratio},
          {"tls_handshake_ratio", tls_ratio},
          {"handshake_ratio", std::min(quic_ratio, tls_ratio)}};
}

}  // namespace tayga::bench
