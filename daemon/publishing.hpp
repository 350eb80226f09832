#pragma once

#include "common/async/task.hpp"
#include "common/crypto/ed25519.hpp"
#include "common/http/fetch.hpp"
#include "daemon/control/control_client.hpp"
#include "daemon/ingest/origin_pull.hpp"
#include "daemon/ingest/publisher_pool.hpp"
#include "daemon/peers/relay_driver.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tayga {

/// A gateway's side: takes the orchestrator's offers, keeps the streams' keys, runs publishers and
/// origin pulls, and joins them to the relay and the control session.
///
/// On the daemon's executor; co_await stop() before it is destroyed.
class Publishing final : public ingest::PublishTarget {
 public:
  struct Options {
    std::filesystem::path keys_dir;  ///< one `NAME.pem` per stream
    NodeId self;
    ingest::ObjectJournal* journal = nullptr;
  };
  Publishing(boost::asio::any_io_executor executor, peers::RelayDriver& driver,
             control::ControlClient& control, Options options);
  ~Publishing() override;

  void set_network(const NetworkId& network) { network_ = network; }
  void on_offer(const control::PublishOffer& offer);
  void on_withdrawn(const std::string& name);

  [[nodiscard]] ingest::PublisherPool& pool() noexcept { return pool_; }
  /// The id of a stream that is published here now.
  [[nodiscard]] std::optional<StreamId> live_stream(const std::string& name) const;
  [[nodiscard]] std::vector<std::string> offered() const;
  /// Ends all pulls and publishers; offers that come later are ignored.
  async::Task<void> stop();

 private:
  struct Pull {
    std::string url;
    std::unique_ptr<ingest::OriginPull> pull;
  };
  struct Live {
    std::string name;
    std::shared_ptr<const crypto::SigningKey> key;
  };

  void on_started(const relay::StreamDescriptor& stream, PublisherEpoch epoch) override;
  void on_slice(media::SignedSlice slice) override;
  void on_tracks(const StreamId& stream, PublisherEpoch epoch,
                 const std::vector<relay::TrackInfo>& tracks) override;
  void on_stopped(const StreamId& stream) override;

  std::shared_ptr<const crypto::SigningKey> stream_key(const std::string& name);
  void pull_from(const std::string& name, const std::string& url);
  void announce(const Live& live, PublisherEpoch epoch,
                const std::vector<relay::TrackInfo>& tracks);

  boost::asio::any_io_executor executor_;
  peers::RelayDriver& driver_;
  control::ControlClient& control_;
  Options options_;
  std::optional<NetworkId> network_;
  std::map<StreamId, Live> live_;
  bool stopped_ = false;
  ingest::PublisherPool pool_;
  std::unique_ptr<http::Fetcher> fetcher_;  ///< made with the first origin
  std::map<std::string, Pull> pulls_;
};

}  // namespace tayga
