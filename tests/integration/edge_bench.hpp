#pragma once

#include "common/async/task.hpp"
#include "common/http/headers.hpp"
#include "common/http/server.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

/// What the tests of the HTTP edges (ingest and playback) share: a loop in a thread, a server on
/// it, a plain blocking client, and ffmpeg.
namespace tayga::test {

/// Everything of the daemon's runs on its thread; the test's own thread is the outside world.
class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  [[nodiscard]] boost::asio::any_io_executor executor() { return context_.get_executor(); }
  /// Runs `function` on the loop and waits for what it returns.
  template <class F>
  auto run(F function) {
    std::packaged_task<decltype(function())()> task{std::move(function)};
    auto result = task.get_future();
    post([&task] { task(); });
    return result.get();
  }
  /// Runs a task on the loop to its end. Rethrows.
  void await(async::Task<void> task);

 private:
  void post(std::function<void()> function);

  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::thread thread_;
};

/// A server on a free loopback port, from construction to stop().
class LoopServer {
 public:
  LoopServer(Loop& loop, http::Handler handler);
  ~LoopServer();
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] std::string url(const std::string& path) const;
  void stop();

 private:
  Loop& loop_;
  std::unique_ptr<http::Server> server_;
  std::uint16_t port_ = 0;
};

struct Reply {
  unsigned status = 0;
  http::Headers headers;
  std::string body;
  bool whole = false;  ///< the body ended as its framing promised
};

/// One request on its own connection, answered until the server closes or 20 s passed.
Reply call(std::uint16_t port, const std::string& method, const std::string& target,
           const http::Headers& headers = {}, std::string_view body = {});
/// Sends `raw` and closes at once, whatever the server says.
void send_and_leave(std::uint16_t port, std::string_view raw);

/// A folder that goes away with it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  [[nodiscard]] std::string path(const std::string& name = {}) const;

 private:
  std::filesystem::path path_;
};

std::string read_file(const std::filesystem::path& path);
void write_file(const std::filesystem::path& path, std::string_view text);

/// Runs a shell command for at most `seconds`; its exit status, 124 when it was cut off. Output
/// goes to `log`, which a failing test prints.
int run_command(const std::string& command, int seconds, const std::string& log);
/// The same beside the test; get() waits for it.
std::future<int> start_command(const std::string& command, int seconds, const std::string& log);

/// A three-rung ladder of 8 s with one sound track, 320x180 and smaller: encoded once per process.
const std::string& ladder_file();
/// ffmpeg's input and mapping of that ladder, each rung with the sound, in real time unless `fast`.
std::string ladder_input(double seconds, bool fast = false);

/// Polls `done` on the loop every 10 ms, for at most `limit`.
bool eventually(Loop& loop, std::chrono::milliseconds limit, const std::function<bool()>& done);

}  // namespace tayga::test
