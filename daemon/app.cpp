#include "daemon/app.hpp"

#include "common/admin/server.hpp"
#include "common/async/clock.hpp"
#include "common/async/task_group.hpp"
#include "common/async/timeout.hpp"
#include "common/base/encoding.hpp"
#include "common/base/exit_code.hpp"
#include "common/base/units.hpp"
#include "common/crypto/key_file.hpp"
#include "common/http/server.hpp"
#include "common/log/log.hpp"
#include "common/transport/workers/worker_pool.hpp"
#include "daemon/advertised.hpp"
#include "daemon/control/control_client.hpp"
#include "daemon/control/receipt_store.hpp"
#include "daemon/core/relay.hpp"
#include "daemon/daemon_metrics.hpp"
#include "daemon/healing.hpp"
#include "daemon/ingest/ingest_handler.hpp"
#include "daemon/limits_status.hpp"
#include "daemon/node_options.hpp"
#include "daemon/peers/relay_driver.hpp"
#include "daemon/playback/player_handler.hpp"
#include "daemon/publishing.hpp"
#include "daemon/receipts.hpp"
#include "daemon/status.hpp"
#include "daemon/stream_hub.hpp"
#include "daemon/telemetry.hpp"
#include "daemon/upload.hpp"
#include "daemon/upload_month_file.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <optional>
#include <utility>
#include <variant>

namespace tayga {
namespace {

namespace asio = boost::asio;

constexpr Duration kShutdownGrace = 1s;  ///< for children to move to other parents
constexpr Duration kPausedGrace = 5s;    ///< for children to move while nothing is sent
constexpr Duration kReceiptGrace = 3s;   ///< for the last receipts to be settled
constexpr Duration kHttpDrain = 500ms;
/// The orchestrator says what it offers right behind its welcome, without a word that it is all.
constexpr Duration kOffersSettle = 3s;
constexpr std::size_t kTasksMax = 16;

asio::ip::tcp::endpoint to_tcp(const transport::Endpoint& endpoint) {
  return {endpoint.address, endpoint.port};
}

std::string to_text(const asio::ip::tcp::endpoint& endpoint) {
  return transport::to_string(transport::Endpoint{endpoint.address(), endpoint.port()});
}

[[noreturn]] void fail(ExitCode exit_code, std::string message) {
  throw App::StartError{exit_code, std::move(message)};
}

/// 0700, because it holds the identity. An existing folder is taken as it is.
void make_state_dir(const std::filesystem::path& path) {
  std::error_code ec;
  if (std::filesystem::is_directory(path, ec)) return;
  std::filesystem::create_directories(path.parent_path(), ec);
  if (mkdir(path.c_str(), S_IRWXU) != 0) {
    fail(ExitCode::no_permission, "cannot make the state directory " + path.string() + ": " +
                                      std::generic_category().message(errno) +
                                      "; make it, or set another with state_dir");
  }
}

crypto::SigningKey load_identity(const std::filesystem::path& state_dir) {
  make_state_dir(state_dir);
  auto key = crypto::load_or_create_signing_key(state_dir / "identity.pem");
  if (auto* error = std::get_if<crypto::KeyFileError>(&key)) {
    fail(ExitCode::no_permission, error->message);
  }
  return std::move(std::get<crypto::SigningKey>(key));
}

std::unique_ptr<ingest::ObjectJournal> open_journal(const std::filesystem::path& path) {
  if (path.empty()) return nullptr;
  auto journal = ingest::ObjectJournal::open(path);
  if (!journal) {
    fail(ExitCode::failed, "cannot write the journal " + path.string() + ": " +
                               journal.error().message() + "; set another with journal.path");
  }
  return std::move(*journal);
}

std::optional<relay::MonthRecord> open_upload_month(const std::filesystem::path& state_dir) {
  auto stored = load_upload_month(upload_month_path(state_dir));
  if (auto* error = std::get_if<UploadMonthError>(&stored)) {
    fail(ExitCode::failed, std::move(error->message));
  }
  return std::get<std::optional<relay::MonthRecord>>(stored);
}

/// Sessions need descriptors: the soft limit may be raised to the hard one by anybody.
void raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

class App::Impl final : public control::ControlEvents, public peers::RelayEvents {
 public:
  explicit Impl(DaemonConfig config);

  void run();

 private:
  // control::ControlEvents
  void on_connected(const control::Welcome& welcome) override;
  void on_disconnected(const std::string& reason) override;
  void on_assignment(const relay::Assignment& assignment,
                     const std::vector<control::PeerAddress>& addresses) override;
  void on_publish_offer(const control::PublishOffer& offer) override;
  void on_publish_withdrawn(const std::string& name) override;
  void on_receipt_answer(std::uint64_t batch,
                         const std::vector<relay::ReceiptBook::Answer>& answers) override;
  void on_join_refused(const std::string& name, control::JoinRefusal reason,
                       const std::string& message) override;
  void on_drain(Duration grace) override;
  void on_ban(const std::string& reason) override;

  // peers::RelayEvents
  void on_parent_lost(const relay::Relay::ParentLost& lost) override;
  void on_suspected(const relay::Relay::Suspected& suspected) override;
  void on_repaired(const relay::Relay::Repaired& repaired) override;
  void on_fetch_origin(const relay::Relay::FetchOrigin& fetch) override;
  void on_tampered(const relay::Relay::Tampered& tampered) override;
  void on_progress(const StreamId& stream, TrackId track) override;

  void listen_all();
  void listen_http(http::Server& server, const transport::Endpoint& endpoint,
                   std::string_view setting);
  async::Task<void> handle_player(http::Request& request, http::RequestBody& body,
                                  http::ResponseWriter& answer);
  async::Task<void> handle_metrics(http::Request& request, http::RequestBody& body,
                                   http::ResponseWriter& answer);
  async::Task<admin::Answer> handle_admin(std::string command, boost::json::object args);
  [[nodiscard]] DaemonFacts facts() const;
  [[nodiscard]] control::NodeProfile profile() const;
  void watch_upload(TimePoint now);
  async::Task<void> run_telemetry();
  async::Task<void> run_until_signal();
  async::Task<void> shut_down();

  // In the order of the data flow; destroyed in reverse.
  DaemonConfig config_;
  TimePoint started_ = async::Clock::now();
  crypto::SigningKey identity_;
  asio::io_context io_{1};
  std::unique_ptr<ingest::ObjectJournal> journal_;
  relay::Relay relay_;
  Upload upload_;
  transport::workers::WorkerPool workers_;
  peers::PeerTransport transport_;
  peers::RelayDriver driver_;
  metrics::Registry metrics_;
  Healing healing_;
  control::ControlClient control_;
  std::optional<Publishing> publishing_;
  std::optional<ingest::IngestHandler> ingest_;
  StreamHub hub_;
  playback::PlayerHandler player_;
  Receipts receipts_;
  TelemetrySampler sampler_;
  Duration telemetry_interval_ = 1s;
  TimePoint connected_at_{};
  http::Server player_server_;
  http::Server metrics_server_;
  admin::Server admin_server_;
  transport::Endpoint peers_endpoint_;
  std::vector<transport::Endpoint> advertised_;
  bool serves_players_ = false;
  bool upload_paused_ = false;
  async::TaskGroup tasks_;
};

App::Impl::Impl(DaemonConfig config)
    : config_{std::move(config)},
      identity_{load_identity(config_.state_dir)},
      journal_{open_journal(config_.journal_path)},
      relay_{identity_, relay_limits(config_), Duration{10min}},
      upload_{io_.get_executor(), config_.upload, open_upload_month(config_.state_dir),
              config_.state_dir},
      workers_{io_.get_executor(), peers::worker_count(config_.peers_workers)},
      transport_{peers::make_peer_transport(workers_, identity_, transport_options(config_))},
      driver_{io_.get_executor(), relay_, *transport_.transport, *this,
              peers::RelayDriver::Options{
                  .self = identity_.node_id(), .software = kSoftware, .upload = &upload_.gate()}},
      healing_{io_.get_executor(), driver_, relay_, metrics_},
      control_{io_.get_executor(), identity_,
               control::ControlOptions{.join = config_.join,
                                       .state_dir = config_.state_dir,
                                       .held_streams = [this] { return held_streams(relay_); }},
               profile_of(config_, {}), *this},
      hub_{io_.get_executor(), StreamHub::Parts{driver_, relay_, control_, journal_.get()}},
      player_{io_.get_executor(), hub_, player_options(config_)},
      receipts_{io_.get_executor(), relay_, control_},
      player_server_{io_.get_executor(), http::ServerOptions{.drain_timeout = kHttpDrain},
                     [this](auto& request, auto& body, auto& answer) {
                       return handle_player(request, body, answer);
                     }},
      metrics_server_{io_.get_executor(), http::ServerOptions{.drain_timeout = kHttpDrain},
                      [this](auto& request, auto& body, auto& answer) {
                        return handle_metrics(request, body, answer);
                      }},
      admin_server_{io_.get_executor(), admin::ServerOptions{},
                    [this](std::string command, boost::json::object args) {
                      return handle_admin(std::move(command), std::move(args));
                    }},
      tasks_{io_.get_executor(), "daemon", kTasksMax} {
  if (config_.gateway) {
    publishing_.emplace(
        io_.get_executor(), driver_, control_,
        Publishing::Options{config_.state_dir / "streams", identity_.node_id(), journal_.get()});
    ingest_.emplace(publishing_->pool());
    hub_.set_publishing(&*publishing_);
  }
  serves_players_ = config_.gateway || config_.viewer;
}

void App::Impl::run() {
  raise_file_limit();
  if (auto problem = receipts_.open(config_.state_dir)) fail(ExitCode::failed, *problem);
  upload_.start();  // alone here: the receipts' log is locked
  upload_paused_ = config_.upload.metered;
  listen_all();
  register_daemon_metrics(metrics_,
                          {relay_, driver_, transport_.exchange.get(), control_, player_server_,
                           upload_.budget(), ingest_ ? &*ingest_ : nullptr});
  control_.set_profile(profile());
  control_.start();
  log::info("taygad is up", log::field("node", [&] { return to_string(identity_.node_id()); }),
            log::field("peers", [&] { return transport::to_string(peers_endpoint_); }),
            log::field("workers", workers_.size()), log::field("orchestrator", config_.join.host));
  (void)tasks_.spawn(run_telemetry());
  (void)tasks_.spawn(receipts_.run());
  async::TaskGroup root{io_.get_executor(), "root", 1};
  (void)root.spawn(run_until_signal());
  io_.run();
}

void App::Impl::listen_http(http::Server& server, const transport::Endpoint& endpoint,
                            std::string_view setting) {
  const Result<void> listening = server.listen(to_tcp(endpoint));
  if (listening) return;
  fail(ExitCode::unavailable,
       http::describe_listen_error(to_tcp(endpoint), listening.error(), setting));
}

void App::Impl::listen_all() {
  const auto bound = driver_.listen(config_.peers_listen);
  if (!bound) {
    fail(ExitCode::unavailable,
         http::describe_listen_error(to_tcp(config_.peers_listen), bound.error(), "peers.listen"));
  }
  peers_endpoint_ = *bound;
  advertised_ = config_.peers_advertise.empty() ? advertised_endpoints(peers_endpoint_)
                                                : config_.peers_advertise;
  if (serves_players_) listen_http(player_server_, config_.player_listen, "player.listen");
  listen_http(metrics_server_, config_.metrics_listen, "metrics.listen");
  const std::string socket = config_.control_socket.string();
  if (const Result<void> listening = admin_server_.listen(socket); !listening) {
    fail(ExitCode::unavailable, "cannot open the control socket " + socket + ": " +
                                    listening.error().message() +
                                    "; end the other taygad, or set another with control_socket");
  }
}

// ---- control session ----------------------------------------------------------------------------

void App::Impl::on_connected(const control::Welcome& welcome) {
  driver_.set_network(welcome.network);
  driver_.input([&](relay::Relay& relay, relay::Now now) {
    relay.on_online_keys(welcome.online_keys);
    relay.on_control(relay::Relay::Control::connected, now);
  });
  if (publishing_) publishing_->set_network(welcome.network);
  connected_at_ = async::Clock::now();
  telemetry_interval_ = welcome.telemetry_interval;
  receipts_.on_connected(welcome.receipt_submit_interval);
  log::info("connected to the orchestrator", log::field("host", config_.join.host));
}

void App::Impl::on_disconnected(const std::string& reason) {
  receipts_.on_disconnected();
  driver_.input([](relay::Relay& relay, relay::Now now) {
    relay.on_control(relay::Relay::Control::away, now);
  });
  log::warn("not connected to the orchestrator; what is carried goes on",
            log::field("reason", reason));
}

void App::Impl::on_assignment(const relay::Assignment& assignment,
                              const std::vector<control::PeerAddress>& addresses) {
  std::map<NodeId, std::vector<transport::Endpoint>> endpoints;
  for (const control::PeerAddress& peer : addresses) endpoints[peer.node] = peer.endpoints;
  driver_.set_addresses(assignment.stream.id, std::move(endpoints));
  driver_.input([&](relay::Relay& relay, relay::Now now) { relay.on_assignment(assignment, now); });
  hub_.on_assignment(assignment);
  log::debug("assignment", log::field("stream", assignment.stream.name),
             log::field("revision", assignment.revision),
             log::field("upstream", assignment.upstream.size()),
             log::field("downstream", assignment.downstream.size()));
}

void App::Impl::on_publish_offer(const control::PublishOffer& offer) {
  if (publishing_) publishing_->on_offer(offer);
}

void App::Impl::on_publish_withdrawn(const std::string& name) {
  if (publishing_) publishing_->on_withdrawn(name);
}

void App::Impl::on_receipt_answer(std::uint64_t batch,
                                  const std::vector<relay::ReceiptBook::Answer>& answers) {
  receipts_.on_answer(batch, answers);
}

void App::Impl::on_join_refused(const std::string& name, control::JoinRefusal reason,
                                const std::string& message) {
  log::info("the orchestrator refused to join a stream", log::field("stream", name),
            log::field("reason", message));
  hub_.on_join_refused(name, reason);
}

void App::Impl::on_drain(Duration grace) {
  log::info("the orchestrator asks this node to drain",
            log::field("grace", [&] { return format_duration(grace); }));
  driver_.input([&](relay::Relay& relay, relay::Now now) {
    relay.on_shutdown(relay::GoAwayReason::drain, grace, now);
  });
}

void App::Impl::on_ban(const std::string& reason) {
  log::error("the operator banned this node", log::field("reason", reason));
}

// ---- relay --------------------------------------------------------------------------------------

void App::Impl::on_parent_lost(const relay::Relay::ParentLost& lost) {
  log::debug("parent lost", log::field("parent", [&] { return short_string(lost.parent); }),
             log::field("track", lost.track.value()));
  control_.report_link_failure(lost);
}

void App::Impl::on_suspected(const relay::Relay::Suspected& suspected) {
  healing_.on_suspected(suspected);
}

void App::Impl::on_repaired(const relay::Relay::Repaired& repaired) {
  healing_.on_repaired(repaired);
}

void App::Impl::on_fetch_origin(const relay::Relay::FetchOrigin& fetch) {
  healing_.on_fetch_origin(fetch);
}

void App::Impl::on_tampered(const relay::Relay::Tampered& tampered) {
  static log::SiteLimit limit{5, 60s};
  log::at(limit, log::Level::warn, "a peer sent altered media and was dropped",
          log::field("peer", [&] { return short_string(tampered.sender); }));
  control_.report_evidence(tampered);
}

void App::Impl::on_progress(const StreamId& stream, TrackId track) {
  hub_.on_progress(stream, track);
}

// ---- faces --------------------------------------------------------------------------------------

async::Task<void> App::Impl::handle_player(http::Request& request, http::RequestBody& body,
                                           http::ResponseWriter& answer) {
  if (request.path.starts_with("/ingest/")) {
    if (ingest_) {
      co_await ingest_->handle(request, body, answer);
    } else {
      (void)co_await answer.send_text(404, "this node is no gateway: it takes no streams");
    }
  } else if (request.path.starts_with("/live")) {
    co_await player_.handle(request, body, answer);
  } else {
    (void)co_await answer.send_text(404, "players read /live/STREAM/master.m3u8 here");
  }
}

async::Task<void> App::Impl::handle_metrics(http::Request& request, http::RequestBody&,
                                            http::ResponseWriter& answer) {
  if (request.path != "/metrics") {
    (void)co_await answer.send_text(404, "metrics are at /metrics");
    co_return;
  }
  http::Headers headers;
  headers.set("Content-Type", std::string{metrics::kContentType});
  const std::string text = metrics_.expose();
  (void)co_await answer.send(200, std::move(headers), text);
}

async::Task<admin::Answer> App::Impl::handle_admin(std::string command, boost::json::object) {
  // Round brackets: in curly ones a JSON value becomes an array of one element.
  if (command == "status") co_return boost::json::value(status_json(facts(), relay_, driver_));
  if (command == "peers") {
    co_return boost::json::value(
        peers_json(relay_, driver_, *transport_.transport, async::Clock::now()));
  }
  if (command == "streams")
    co_return boost::json::value(streams_json(relay_, healing_.histograms(), async::Clock::now()));
  if (command == "limits") {
    co_return boost::json::value(
        limits_json(upload_.budget(), upload_paused_, async::Clock::now()));
  }
  co_return admin::Failure{"unknown_command", "taygad knows no command '" + command + "'"};
}

DaemonFacts App::Impl::facts() const {
  DaemonFacts facts;
  facts.node = identity_.node_id();
  facts.name = config_.name;
  facts.roles = role_names(config_);
  facts.uptime = async::Clock::now() - started_;
  facts.orchestrator = config_.join.host + ":" + std::to_string(config_.join.port);
  facts.connected = control_.connected();
  if (!facts.connected) facts.connection_error = control_.last_error();
  facts.peers_listen = transport::to_string(peers_endpoint_);
  if (transport_.transport->has(transport::Kind::quic)) facts.peers_protocols.emplace_back("udp");
  if (transport_.transport->has(transport::Kind::tcp)) facts.peers_protocols.emplace_back("tcp");
  facts.workers = workers_.size();
  if (serves_players_) facts.player_listen = to_text(player_server_.local_endpoint());
  facts.metrics_listen = to_text(metrics_server_.local_endpoint());
  for (const auto& endpoint : advertised_) {
    facts.advertised.push_back(transport::to_string(endpoint));
  }
  facts.player_bytes_out = player_server_.stats().sent_bytes_total;
  if (publishing_) facts.offered_streams = publishing_->offered();
  return facts;
}

// ---- running ------------------------------------------------------------------------------------

control::NodeProfile App::Impl::profile() const {
  control::NodeProfile profile = profile_of(config_, advertised_);
  if (upload_paused_) profile.children_max = 0;
  return profile;
}

/// Who may get nothing for a while must not be left to find out: the orchestrator plans no children
/// here until it is over, and those that are here are told to go.
void App::Impl::watch_upload(TimePoint now) {
  const bool paused = upload_.is_paused(now);
  if (paused == upload_paused_) return;
  upload_paused_ = paused;
  log::info(paused ? "nothing is sent to others for now; see taygactl limits"
                   : "sending to others again");
  using Serving = relay::Relay::Serving;
  driver_.input([&](relay::Relay& relay, relay::Now at) {
    relay.on_serving(paused ? Serving::closed : Serving::open, kPausedGrace, at);
  });
  control_.set_profile(profile());
}

async::Task<void> App::Impl::run_telemetry() {
  for (;;) {
    const error_code ended = co_await async::sleep_for(telemetry_interval_);
    if (ended) co_return;
    const TimePoint now = async::Clock::now();
    hub_.drop_unplayed(now);
    watch_upload(now);
    healing_.sample();
    if (!control_.connected()) continue;
    if (publishing_ && now - connected_at_ > kOffersSettle) publishing_->pool().set_offers_known();
    control_.send_telemetry(
        sampler_.sample(relay_, driver_, hub_.served(), read_process_load(), now));
  }
}

async::Task<void> App::Impl::run_until_signal() {
  asio::signal_set signals{io_, SIGTERM, SIGINT};
  const auto [ec, number] = co_await signals.async_wait(async::as_values);
  if (!ec) log::info("ending", log::field("signal", number));
  co_await shut_down();
}

/// From the faces to the roots: nobody asks any more, children move away, the last receipts are
/// settled, then the control session ends.
async::Task<void> App::Impl::shut_down() {
  co_await player_server_.stop();
  co_await player_.stop();
  if (publishing_) co_await publishing_->stop();
  healing_.stop();
  co_await driver_.shutdown(kShutdownGrace);
  co_await receipts_.settle_last(kReceiptGrace);
  co_await control_.stop();
  co_await admin_server_.stop();
  co_await metrics_server_.stop();
  tasks_.cancel();
  co_await tasks_.join();
  upload_.close();
  receipts_.close();
}

App::App(DaemonConfig config) : impl_{std::make_unique<Impl>(std::move(config))} {}
App::~App() = default;
void App::run() {
  impl_->run();
}

}  // namespace tayga
