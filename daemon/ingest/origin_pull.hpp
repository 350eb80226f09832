#pragma once

#include "common/base/result.hpp"
#include "common/http/fetch.hpp"
#include "common/log/site_limit.hpp"
#include "daemon/ingest/publisher_pool.hpp"
#include "daemon/ingest/pull_plan.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>

namespace tayga::ingest {

/// Pulls one stream from an existing HLS origin into the pool, from start to destruction.
///
/// The shell around PullPlan: transfers, a timer, the log. An origin that fails is logged (with URL
/// and status, within a limit) and asked again until it returns. On one executor; fetcher and pool
/// outlive it.
class OriginPull {
 public:
  /// nullopt: `url` is no http(s) URL.
  static std::optional<std::unique_ptr<OriginPull>> start(
      const boost::asio::any_io_executor& executor, http::Fetcher& fetcher, PublisherPool& pool,
      std::string stream_name, std::string_view url, PullLimits limits = {});
  ~OriginPull();
  OriginPull(const OriginPull&) = delete;
  OriginPull& operator=(const OriginPull&) = delete;

  [[nodiscard]] const PullPlan::Counters& counters() const noexcept { return plan_.counters(); }

 private:
  struct Transfer {
    http::TransferId id;
    std::string text;                             // of a playlist
    std::string path;                             // of an object
    std::optional<PublisherPool::Upload> upload;  // of an object, once it began
    std::string refused;                          // why the publisher did not take it
  };

  OriginPull(const boost::asio::any_io_executor& executor, http::Fetcher& fetcher,
             PublisherPool& pool, std::string stream_name, const HttpUrl& root, PullLimits limits);

  void pump();
  void perform(const PullPlan::FetchPlaylist& fetch);
  void perform(const PullPlan::FetchObject& fetch);
  void perform(const PullPlan::LearnPlaylist& learn);
  void perform(const PullPlan::PublishPlaylist& publish);
  void perform(const PullPlan::Complaint& complaint);
  void on_playlist_done(FetchId id, const http::FetchDone& done);
  void on_object_data(FetchId id, ByteView bytes);
  void on_object_done(FetchId id, const http::FetchDone& done);
  void complain(const std::string& url, const std::string& what);
  void arm();

  http::Fetcher& fetcher_;
  PublisherPool& pool_;
  std::string stream_name_;
  PullPlan plan_;
  boost::asio::steady_timer timer_;
  std::map<FetchId, Transfer> transfers_;
  log::SiteLimit log_limit_{6, 60s};
  /// A timer's handler may be on its way already when this is destroyed.
  std::shared_ptr<OriginPull*> self_ = std::make_shared<OriginPull*>(this);
};

}  // namespace tayga::ingest
