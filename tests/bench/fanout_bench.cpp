#include "common/async/clock.hpp"
#include "common/async/task_group.hpp"
#include "common/base/check.hpp"
#include "common/base/units.hpp"
#include "common/media/slicer.hpp"
#include "common/transport/tls/tls_transport.hpp"
#include "tests/bench/bench.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <deque>
#include <fstream>
#include <future>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace tayga::bench {

boost::json::object bench_fanout(const Args& args);

namespace {

namespace asio = boost::asio;
using async::Clock;
using async::Task;
using transport::OutboundMedia;
using transport::Session;

constexpr Duration kLate = 500ms;
constexpr Duration kWarmUp = 1s;
constexpr Duration kSegment = 1s;
constexpr std::size_t kChildQueueMax = 4 * 1024 * 1024;  // as a relay bounds it: the oldest goes
constexpr std::size_t kDialsAtOnce = 16;                 // a network may have 32 half-open

void pin_to_cpu(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu % std::max(1U, std::thread::hardware_concurrency()), &set);
  (void)::sched_setaffinity(0, sizeof set, &set);  // the calling thread; refused: it runs anywhere
}

std::size_t resident_bytes() {
  std::ifstream statm{"/proc/self/statm"};
  std::size_t total = 0;
  std::size_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

transport::tls::TlsOptions options_for(std::size_t sessions) {
  transport::tls::TlsOptions options;
  options.sessions_max = sessions;
  return options;
}

/// Media on its way to one peer.
class Outlet final : public transport::SessionHandler {
 public:
  explicit Outlet(std::unique_ptr<Session> session) : session_{std::move(session)} {
    session_->start(*this);
  }
  void push(const SharedBytes& frame) {
    queue_.push_back(frame);
    queued_ += frame->size();
    for (; queued_ > kChildQueueMax; queue_.pop_front()) queued_ -= queue_.front()->size();
    session_->notify_media();
  }
  [[nodiscard]] std::uint64_t bytes_out() const { return session_->stats().bytes_out; }

  void on_frame(wire::FrameType, ByteView) override {}
  std::optional<OutboundMedia> next_media() override {
    if (queue_.empty()) return std::nullopt;
    OutboundMedia next{{}, std::move(queue_.front())};
    queue_.pop_front();
    queued_ -= next.frame->size();
    return next;
  }
  void on_closed(const transport::CloseInfo&) override {}

 private:
  std::unique_ptr<Session> session_;
  std::deque<SharedBytes> queue_;
  std::size_t queued_ = 0;
};

/// The relay under test, on its own thread: takes frames from the source, verifies each as a relay
/// does, and gives the same bytes to every child.
class RelaySide final : public transport::SessionHandler {
 public:
  struct Usage {
    double cpu_s = 0;
    std::uint64_t egress_bytes = 0;
  };

  RelaySide(NodeId source, StreamId stream, std::size_t children)
      : source_{source},
        stream_{stream},
        transport_{transport::tls::make_tls_transport(io_.get_executor(), key_,
                                                      options_for(children + 1))} {
    const auto bound = transport_->listen(
        {asio::ip::address_v4::loopback(), 0},
        [this](std::unique_ptr<Session> session) { on_session(std::move(session)); });
    if (!bound) throw std::runtime_error{"cannot listen on loopback: " + bound.error().message()};
    endpoint_ = *bound;
    thread_ = std::thread{[this] {
      pin_to_cpu(0);
      io_.run();
    }};
  }
  ~RelaySide() override {
    // Sessions end on their own thread; then nothing keeps the context running.
    asio::post(io_, [this] {
      upstream_.reset();
      children_.clear();
      transport_->stop();
    });
    thread_.join();
  }

  [[nodiscard]] const transport::Endpoint& endpoint() const { return endpoint_; }
  [[nodiscard]] NodeId id() const { return key_.node_id(); }

  /// Blocks until the relay's thread has answered.
  Usage usage() {
    std::packaged_task<Usage()> task{[this] {
      Usage usage{thread_cpu_seconds(), 0};
      for (const auto& child : children_) usage.egress_bytes += child->bytes_out();
      return usage;
    }};
    std::future<Usage> answer = task.get_future();
    asio::post(io_, [&task] { task(); });
    return answer.get();
  }

  void on_frame(wire::FrameType type, ByteView payload) override {
    TAYGA_CHECK(type == wire::FrameType::slice_header ? verify_header(payload)
                                                      : verify_chunk(payload));
    const auto frame = std::make_shared<const Bytes>(wire::serialize_frame(type, payload));
    for (const auto& child : children_) child->push(frame);
  }
  std::optional<OutboundMedia> next_media() override { return std::nullopt; }
  void on_closed(const transport::CloseInfo&) override {}

 private:
  static constexpr std::size_t kHeadersKept = 64;

  void on_session(std::unique_ptr<Session> session) {
    if (session->peer() == source_) {
      upstream_ = std::move(session);
      upstream_->start(*this);
    } else {
      children_.push_back(std::make_unique<Outlet>(std::move(session)));
    }
  }
  bool verify_header(ByteView payload) {
    auto header = media::parse_slice_header(payload);
    if (!header || !media::verify_slice_header(payload, stream_)) return false;
    headers_.insert_or_assign(header->seq, std::move(*header));
    if (headers_.size() > kHeadersKept) headers_.erase(headers_.begin());
    return true;
  }
  bool verify_chunk(ByteView payload) {
    const auto chunk = wire::parse_chunk(payload);
    if (!chunk) return false;
    const auto header = headers_.find(chunk->slice_seq);
    return header != headers_.end() &&
           media::verify_chunk(header->second, chunk->index, chunk->bytes);
  }

  const crypto::SigningKey key_ = crypto::SigningKey::generate();
  const NodeId source_;
  const StreamId stream_;
  asio::io_context io_{1};
  std::unique_ptr<transport::Transport> transport_;
  std::unique_ptr<Session> upstream_;
  std::vector<std::unique_ptr<Outlet>> children_;
  std::map<SliceSeq, media::SliceHeader> headers_;
  transport::Endpoint endpoint_;
  std::thread thread_;  // last: it uses all above
};

/// What the children saw, all together; latencies in steps of 10 us.
struct Observations {
  std::uint64_t chunks = 0;
  std::vector<std::uint32_t> latency = std::vector<std::uint32_t>(200'000);
  std::set<std::pair<std::size_t, std::uint64_t>> late;  // (child, object)

  void add(std::size_t child, std::uint64_t object, Duration delay) {
    ++chunks;
    const auto step = static_cast<std::size_t>(std::max<std::int64_t>(0, delay.count() / 10));
    ++latency[std::min(step, latency.size() - 1)];
    if (delay > kLate) late.emplace(child, object);
  }
  [[nodiscard]] double percentile_ms(double share) const {
    const double wanted = share * static_cast<double>(chunks);
    double seen = 0;
    for (std::size_t step = 0; step < latency.size(); ++step) {
      seen += latency[step];
      if (chunks > 0 && seen >= wanted) return static_cast<double>(step) / 100;
    }
    return 0;
  }
};

/// When each slice left the source, and of which object it is.
struct Sent {
  TimePoint at;
  std::uint64_t object = 0;
  std::size_t chunks = 0;
};

class Child final : public transport::SessionHandler {
 public:
  Child(std::size_t index, const std::vector<Sent>& sent, Observations& seen)
      : index_{index}, sent_{sent}, seen_{seen} {}

  void start(std::unique_ptr<Session> session) {
    session_ = std::move(session);
    session_->start(*this);
  }
  void measure_from(std::uint64_t first_seq) { first_seq_ = first_seq; }

  void on_frame(wire::FrameType type, ByteView payload) override {
    if (type != wire::FrameType::chunk) return;
    const auto chunk = wire::parse_chunk(payload);
    TAYGA_CHECK(chunk);
    const std::uint64_t seq = chunk->slice_seq.value();
    if (seq < first_seq_) return;
    const Sent& sent = sent_.at(seq);
    seen_.add(index_, sent.object, Clock::now() - sent.at);
  }
  std::optional<OutboundMedia> next_media() override { return std::nullopt; }
  void on_closed(const transport::CloseInfo& info) override {
    std::fprintf(stderr, "child %zu lost its session: %s\n", index_, info.detail.c_str());
  }

 private:
  const std::size_t index_;
  const std::vector<Sent>& sent_;
  Observations& seen_;
  std::uint64_t first_seq_ = UINT64_MAX;  // nothing counts yet
  std::unique_ptr<Session> session_;
};

struct FanoutRun {
  std::size_t children;
  double rate_bps;
  Duration duration;
};

struct Figures {
  RelaySide::Usage begin;
  RelaySide::Usage end;
  double seconds = 0;
  std::uint64_t chunks_expected = 0;
  std::size_t rss_bytes = 0;
  std::size_t session_rss_bytes = 0;  // both ends of one session together
};

/// The source and all children, on the calling thread.
class LoadSide {
 public:
  explicit LoadSide(const FanoutRun& run)
      : run_{run},
        relay_{source_key_.node_id(), stream_key_.stream_id(), run.children},
        source_transport_{transport::tls::make_tls_transport(io_.get_executor(), source_key_, {})},
        child_transport_{transport::tls::make_tls_transport(io_.get_executor(), child_key_,
                                                            options_for(run.children))},
        tasks_{io_.get_executor(), "load", kDialsAtOnce + 2} {
    tasks_.set_on_error([this](std::string_view, std::string_view what) {
      failure_ = what;
      io_.stop();
    });
  }

  Figures run() {
    pin_to_cpu(1);
    const bool spawned = tasks_.spawn(run_all());
    TAYGA_CHECK(spawned);
    io_.run();
    if (!failure_.empty()) throw std::runtime_error{failure_};
    return figures_;
  }
  [[nodiscard]] const Observations& seen() const { return seen_; }

 private:
  Task<std::unique_ptr<Session>> dial(transport::Transport& from) {
    auto session = co_await from.connect(relay_.endpoint(), relay_.id(), 10s);
    if (!session) throw std::runtime_error{"dial: " + session.error().message()};
    co_return std::move(*session);
  }

  Task<void> dial_children(std::size_t first) {
    for (std::size_t i = first; i < run_.children; i += kDialsAtOnce) {
      auto session = co_await dial(*child_transport_);
      children_[i]->start(std::move(session));
    }
  }

  Task<void> run_all() {
    source_ = std::make_unique<Outlet>(co_await dial(*source_transport_));
    const std::size_t rss_before = resident_bytes();
    for (std::size_t i = 0; i < run_.children; ++i) {
      children_.push_back(std::make_unique<Child>(i, sent_, seen_));
    }
    async::TaskGroup dials{io_.get_executor(), "dials", kDialsAtOnce};
    dials.set_on_error([this](std::string_view, std::string_view what) {
      failure_ = what;
      io_.stop();
    });
    for (std::size_t i = 0; i < kDialsAtOnce; ++i) (void)dials.spawn(dial_children(i));
    co_await dials.join();

    co_await publish(kWarmUp);
    figures_.session_rss_bytes =
        (std::max(resident_bytes(), rss_before) - rss_before) / run_.children;
    const std::size_t first_seq = sent_.size();
    for (const auto& child : children_) child->measure_from(first_seq);
    figures_.begin = relay_.usage();
    const TimePoint began = Clock::now();
    co_await publish(run_.duration);
    figures_.end = relay_.usage();
    figures_.seconds = std::chrono::duration<double>(Clock::now() - began).count();
    figures_.rss_bytes = resident_bytes();

    asio::steady_timer timer{io_};
    timer.expires_after(kLate);  // what comes after this is late anyhow
    (void)co_await timer.async_wait(async::as_values);
    for (std::size_t i = first_seq; i < sent_.size(); ++i) {
      figures_.chunks_expected += sent_[i].chunks * run_.children;
    }
    source_.reset();
    children_.clear();
    source_transport_->stop();
    child_transport_->stop();
  }

  /// Publishes a live stream for `time`: bytes come each millisecond, slices go out as they are
  /// cut.
  Task<void> publish(Duration time) {
    const Bytes piece(static_cast<std::size_t>(run_.rate_bps / 8 / 1000), std::byte{0x47});
    asio::steady_timer timer{io_};
    const TimePoint end = Clock::now() + time;
    TimePoint next = Clock::now();
    while (next < end) {
      if (!object_ || next - object_since_ >= kSegment) open_object(next);
      TAYGA_CHECK(slicer_.append(*object_, piece, next, Clock::wall_now()).has_value());
      slicer_.on_timeout(next, Clock::wall_now());
      send_slices();
      next += 1ms;
      timer.expires_at(Clock::to_steady(next));
      (void)co_await timer.async_wait(async::as_values);
    }
  }

  void open_object(TimePoint now) {
    if (object_) slicer_.finish(*object_, now, Clock::wall_now());
    media::Slicer::ObjectInfo info;
    info.path = "segment.ts";
    object_ = slicer_.open(std::move(info), now);
    object_since_ = now;
  }

  void send_slices() {
    while (const auto slice = slicer_.poll_slice()) {
      TAYGA_CHECK(slice->header.seq.value() == sent_.size());
      sent_.push_back(Sent{Clock::now(), slice->header.object.value(), slice->chunk_frames.size()});
      source_->push(slice->header_frame);
      for (const SharedBytes& frame : slice->chunk_frames) source_->push(frame);
    }
  }

  const FanoutRun run_;
  const crypto::SigningKey source_key_ = crypto::SigningKey::generate();
  const crypto::SigningKey child_key_ = crypto::SigningKey::generate();
  const crypto::SigningKey stream_key_ = crypto::SigningKey::generate();
  RelaySide relay_;
  asio::io_context io_{1};
  std::unique_ptr<transport::Transport> source_transport_;
  std::unique_ptr<transport::Transport> child_transport_;
  media::Slicer slicer_{stream_key_, TrackId{1}, PublisherEpoch{1}};
  std::optional<ObjectId> object_;
  TimePoint object_since_;
  std::vector<Sent> sent_;  // by slice sequence
  Observations seen_;
  std::unique_ptr<Outlet> source_;
  std::vector<std::unique_ptr<Child>> children_;
  Figures figures_;
  std::string failure_;
  async::TaskGroup tasks_;
};

/// Two sockets a child; the soft limit is often 1024.
void allow_files(std::size_t children) {
  rlimit limit{};
  TAYGA_CHECK(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_max;
  TAYGA_CHECK(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
  if (2 * children + 64 > limit.rlim_cur) {
    throw std::invalid_argument{"--children " + std::to_string(children) + " needs more than the " +
                                std::to_string(limit.rlim_cur) + " files this system allows"};
  }
}

}  // namespace

boost::json::object bench_fanout(const Args& args) {
  if (const std::string kind = args.text("transport", "tls"); kind != "tls") {
    throw std::invalid_argument{"--transport '" + kind + "' is not one of: tls"};
  }
  const std::uint64_t children = args.count("children", 100);
  const std::string bitrate = args.text("bitrate", "8mbit");
  const auto rate_bps = parse_rate_bps(bitrate);
  const double seconds = args.number("duration", 5);
  if (children == 0 || !rate_bps || *rate_bps < 8000 || seconds <= 0) {
    throw std::invalid_argument{"--children, --bitrate (from 8kbit) and --duration are above zero"};
  }
  allow_files(children);

  LoadSide load{{children, static_cast<double>(*rate_bps),
                 std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds))}};
  const Figures figures = load.run();
  const Observations& seen = load.seen();
  const double gbit =
      static_cast<double>(figures.end.egress_bytes - figures.begin.egress_bytes) * 8 / 1e9;
  const double cpu_s = figures.end.cpu_s - figures.begin.cpu_s;

  std::printf("%llu children at %s: %.3f Gbit/s out of the relay, %.0f %% of its core\n",
              static_cast<unsigned long long>(children), bitrate.c_str(), gbit / figures.seconds,
              cpu_s / figures.seconds * 100);
  std::printf("%.3f core-s per Gbit; latency p50 %.1f ms, p99 %.1f ms; %zu late objects\n",
              cpu_s / gbit, seen.percentile_ms(0.5), seen.percentile_ms(0.99), seen.late.size());
  return {
      {"bench", "fanout"},
      {"transport", "tls"},
      {"verified", true},
      {"children", children},
      {"bitrate_bps", *rate_bps},
      {"egress_gbps", gbit / figures.seconds},
      {"relay_core_share", cpu_s / figures.seconds},
      {"core_s_per_gbit", cpu_s / gbit},
      {"latency_ms",
       boost::json::object{{"p50", seen.percentile_ms(0.5)}, {"p99", seen.percentile_ms(0.99)}}},
      {"late_objects", seen.late.size()},
      {"chunks_missing", figures.chunks_expected - std::min(figures.chunks_expected, seen.chunks)},
      {"rss_bytes", figures.rss_bytes},
      {"session_rss_bytes", figures.session_rss_bytes}};
}

}  // namespace tayga::bench
