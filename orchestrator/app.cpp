#include "orchestrator/app.hpp"

#include "common/async/clock.hpp"
#include "common/async/task_group.hpp"
#include "common/base/encoding.hpp"
#include "common/crypto/hash.hpp"
#include "common/grpc/grpc_runtime.hpp"
#include "common/http/server.hpp"
#include "common/log/log.hpp"
#include "common/wire/big_endian.hpp"
#include "orchestrator/admin_endpoint.hpp"
#include "orchestrator/app/admin_verbs.hpp"
#include "orchestrator/app/ask.hpp"
#include "orchestrator/app/assignment_issuer.hpp"
#include "orchestrator/app/ledger_reader.hpp"
#include "orchestrator/app/listen_address.hpp"
#include "orchestrator/app/store_thread.hpp"
#include "orchestrator/app/world_loop.hpp"
#include "orchestrator/http/api.hpp"
#include "orchestrator/keys/network_keys.hpp"
#include "orchestrator/rpc/grpc_gateway.hpp"
#include "orchestrator/store_opener.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <memory>
#include <utility>

namespace tayga::orch {
namespace {

constexpr Duration kDrainGrace = 2s;
constexpr std::int64_t kHourMs = 3600 * 1000;
constexpr rlim_t kFilesWanted = 65'536;

std::int64_t wall_ms_now() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             async::Clock::wall_now().time_since_epoch())
      .count();
}

/// A session is a file descriptor: take what the system allows and say how far that goes.
void raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < kFilesWanted) {
    log::info("the open file limit bounds the sessions",
              log::field("sessions_max", static_cast<std::uint64_t>(limit.rlim_cur)));
  }
}

NetworkKeys load_keys(const Settings& settings) {
  const std::int64_t now_ms = wall_ms_now();
  NetworkKeys keys = load_network_keys(settings.state_dir, now_ms);
  const std::int64_t left_ms = keys.online.not_after_ms - now_ms;
  if (left_ms < kOnlineKeyWarnMs) {
    log::warn(
        "the online key expires soon; run `tayga-orchestrator init --renew-online-key` and "
        "restart",
        log::field("hours_left", left_ms / kHourMs));
  }
  return keys;
}

template <class T>
T value_or_throw(Result<T> result, const LedgerStore& store, const char* what) {
  if (!result) {
    throw StartupError{ExitCode::failed, std::string{"cannot read "} + what +
                                             " from the store: " + store.last_error()};
  }
  return std::move(*result);
}

void load_epochs(EpochBook& epochs, LedgerStore& store) {
  for (const std::uint32_t epoch : epochs.missing(wall_ms_now())) {
    epochs.add(epoch,
               value_or_throw(load_or_make_epoch_secret(store, epoch), store, "epoch secrets"));
  }
}

/// Rises from one process to the next, also when the clock was set back in between.
std::uint64_t next_incarnation(LedgerStore& store) {
  const std::string key = "incarnation";
  const auto last = value_or_throw(store.get_meta(key), store, "the last incarnation");
  std::uint64_t incarnation = static_cast<std::uint64_t>(wall_ms_now());
  if (last && last->size() == sizeof incarnation) {
    incarnation = std::max(incarnation, wire::Reader{*last}.integer<std::uint64_t>() + 1);
  }
  std::array<std::byte, sizeof incarnation> bytes{};
  wire::Writer{bytes}.integer(incarnation);
  if (!store.put_meta(key, bytes)) {
    throw StartupError{ExitCode::failed, "cannot write to the store: " + store.last_error()};
  }
  return incarnation;
}

WorldLoopOptions world_options(const Settings& settings, const NetworkKeys& keys,
                               std::uint64_t incarnation) {
  WorldLoopOptions out;
  out.world.network = keys.network;
  out.world.node_grace = settings.node_grace;
  out.world.restart_grace = settings.restart_grace;
  out.world.telemetry_interval = settings.telemetry_interval;
  out.world.gateway_copies = settings.gateway_copies;
  out.world.rescue_share_permille = settings.rescue_share_permille;
  out.welcome.network = keys.network;
  out.welcome.incarnation = incarnation;
  out.welcome.telemetry_interval = settings.telemetry_interval;
  out.welcome.receipt_submit_interval = settings.receipt_submit_interval;
  out.welcome.online_keys = keys.online_certificates;
  out.online_key_not_after_ms = keys.online.not_after_ms;
  return out;
}

/// Everything that serves, in the order in which it is built; destroyed in the reverse order.
class Orchestrator {
 public:
  Orchestrator(const Settings& settings, NetworkKeys keys);
  ~Orchestrator() { stop(); }  ///< also after half a start: no thread outlives what it uses
  Orchestrator(const Orchestrator&) = delete;
  Orchestrator& operator=(const Orchestrator&) = delete;

  void start();
  void run();   ///< until a signal
  void stop();  ///< harmless again

 private:
  ApiSources make_sources();
  async::Task<void> run_until_signal();

  const Settings& settings_;
  const NetworkKeys keys_;
  std::unique_ptr<LedgerStore> ledger_store_;
  const std::uint64_t incarnation_;
  Meters meters_;
  EpochBook epochs_;
  CertificateAuthenticator authenticator_;
  GrpcGateway gateway_;
  StoreThread store_;
  AssignmentIssuer issuer_;
  WorldLoop world_;

  boost::asio::io_context front_{1};
  ApiSources sources_;
  http::Server http_;
  AdminVerbs verbs_;
  AdminEndpoint admin_;
  async::TaskGroup tasks_;
};

GrpcGatewayOptions gateway_options(const Settings& settings, const NetworkKeys& keys) {
  const ServerIdentity identity = make_server_identity(keys, wall_ms_now());
  return {settings.control_listen, identity.key_pem, identity.chain_pem};
}

Orchestrator::Orchestrator(const Settings& settings, NetworkKeys keys)
    : settings_{settings},
      keys_{std::move(keys)},
      ledger_store_{open_store(settings.state_dir)},
      incarnation_{next_incarnation(*ledger_store_)},
      gateway_{gateway_options(settings, keys_), authenticator_},
      store_{*ledger_store_, {keys_.network, keys_.online_keys}, meters_},
      issuer_{{keys_.network, keys_.online.key_id, incarnation_, keys_.online.not_after_ms},
              keys_.online_key,
              epochs_,
              crypto::random_bytes},
      world_{world_options(settings, keys_, incarnation_),
             {gateway_, store_, issuer_, epochs_, meters_}},
      sources_{make_sources()},
      http_{front_.get_executor(), {}, make_api_handler(sources_)},
      verbs_{world_, store_},
      admin_{front_.get_executor(), settings.socket, verbs_},
      tasks_{front_.get_executor(), "front", 8} {}

ApiSources Orchestrator::make_sources() {
  ApiSources out;
  out.snapshot = [this] { return world_.snapshot(); };
  out.trouble = [this] { return verbs_.trouble(); };
  out.metrics_text = [this] { return meters_.render(*world_.snapshot(), gateway_.stats()); };
  out.ledger = [this] { return read_ledger(store_); };
  return out;
}

void Orchestrator::start() {
  const auto http_at =
      parse_listen_address(settings_.http_listen, "--http (config: [http] listen)");
  parse_listen_address(settings_.control_listen, "--listen (config: [control] listen)");
  load_epochs(epochs_, *ledger_store_);
  world_.restore(value_or_throw(ledger_store_->load_nodes(), *ledger_store_, "nodes"),
                 value_or_throw(ledger_store_->load_streams(), *ledger_store_, "streams"));
  meters_.set_settled(value_or_throw(ledger_store_->totals(), *ledger_store_, "totals"));
  if (const Result<void> bound = http_.listen(http_at); !bound) {
    throw StartupError{ExitCode::unavailable,
                       http::describe_listen_error(http_at, bound.error(), "--http")};
  }
  admin_.listen();
  store_.start([this](SessionId session, ReceiptAnswers answers) {
    gateway_.push(session, std::move(answers));
  });
  world_.start();
  if (const auto problem = gateway_.accept(world_)) {
    throw StartupError{ExitCode::unavailable, *problem};
  }
  const auto network = [this] { return to_hex(keys_.network.view()); };
  log::info("serving", log::field("nodes", settings_.control_listen),
            log::field("http", settings_.http_listen), log::field("network", network),
            log::field("version", TAYGA_VERSION));
}

async::Task<void> Orchestrator::run_until_signal() {
  boost::asio::signal_set signals{front_, SIGTERM, SIGINT};
  const auto [ec, number] = co_await signals.async_wait(async::as_values);
  if (!ec) log::info("stopping", log::field("signal", number));
  co_await http_.stop();
  co_await admin_.stop();
}

void Orchestrator::run() {
  if (tasks_.spawn(run_until_signal())) front_.run();
}

/// From the outside in, so that whatever was taken is answered or on disk.
void Orchestrator::stop() {
  gateway_.drain(kDrainGrace);
  world_.stop();
  store_.stop();
}

}  // namespace

ExitCode serve(const Settings& settings) {
  const GrpcRuntime grpc;
  std::signal(SIGPIPE, SIG_IGN);
  raise_file_limit();
  Orchestrator orchestrator{settings, load_keys(settings)};
  orchestrator.start();
  orchestrator.run();
  orchestrator.stop();
  log::info("stopped");
  return ExitCode::ok;
}

}  // namespace tayga::orch
