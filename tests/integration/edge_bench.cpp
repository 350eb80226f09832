#include "tests/integration/edge_bench.hpp"

#include "common/http/body_decoder.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace tayga::test {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

tcp::endpoint loopback(std::uint16_t port) {
  return {asio::ip::address_v4::loopback(), port};
}

void set_timeout(tcp::socket& socket, int seconds) {
  const ::timeval limit{seconds, 0};
  ::setsockopt(socket.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

/// Everything until the server closes.
std::string read_all(tcp::socket& socket) {
  std::string all;
  std::array<char, 64 * 1024> buffer;
  for (;;) {
    const ::ssize_t size = ::recv(socket.native_handle(), buffer.data(), buffer.size(), 0);
    if (size <= 0) return all;
    all.append(buffer.data(), static_cast<std::size_t>(size));
  }
}

Reply parse_reply(const std::string& text, bool head_only) {
  Reply reply;
  const std::size_t end = text.find("\r\n\r\n");
  if (end == std::string::npos) return reply;
  std::istringstream lines{text.substr(0, end)};
  std::string line;
  std::getline(lines, line);
  reply.status = static_cast<unsigned>(std::stoul(line.substr(9, 3)));
  while (std::getline(lines, line)) {
    if (line.ends_with('\r')) line.pop_back();
    const std::size_t colon = line.find(": ");
    reply.headers.add(line.substr(0, colon), line.substr(colon + 2));
  }
  const std::string rest = text.substr(end + 4);
  http::BodyFraming framing;
  framing.chunked = reply.headers.get("Transfer-Encoding") == "chunked";
  const auto length = reply.headers.get("Content-Length");
  if (length) framing.content_length = std::stoull(std::string{*length});
  http::BodyDecoder decoder{framing};
  Bytes body(rest.size() + 1);
  const auto step = decoder.decode(as_bytes(rest), body);
  if (!step) return reply;
  reply.body = as_text(ByteView{body}.first(step->produced));
  reply.whole = head_only ? rest.empty() : decoder.done();
  return reply;
}

}  // namespace

Loop::Loop() : work_{asio::make_work_guard(context_)}, thread_{[this] { context_.run(); }} {}

Loop::~Loop() {
  work_.reset();
  context_.stop();
  thread_.join();
}

void Loop::post(std::function<void()> function) {
  asio::post(context_, std::move(function));
}

void Loop::await(async::Task<void> task) {
  asio::co_spawn(context_, std::move(task), asio::use_future).get();
}

LoopServer::LoopServer(Loop& loop, http::Handler handler) : loop_{loop} {
  port_ = loop_.run([&] {
    server_ = std::make_unique<http::Server>(loop_.executor(), http::ServerOptions{}, handler);
    if (!server_->listen(loopback(0))) throw std::runtime_error{"no port"};
    return server_->local_endpoint().port();
  });
}

LoopServer::~LoopServer() {
  stop();
}

void LoopServer::stop() {
  if (!server_) return;
  loop_.await(server_->stop());
  loop_.run([this] { server_.reset(); });
}

std::string LoopServer::url(const std::string& path) const {
  return "http://127.0.0.1:" + std::to_string(port_) + path;
}

Reply call(std::uint16_t port, const std::string& method, const std::string& target,
           const http::Headers& headers, std::string_view body) {
  asio::io_context context;
  tcp::socket socket{context};
  socket.connect(loopback(port));
  set_timeout(socket, 20);
  std::string head = method + " " + target + " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n";
  for (const http::Header& header : headers) head += header.name + ": " + header.value + "\r\n";
  if (method == "PUT" || method == "POST") {
    if (!headers.contains("Transfer-Encoding") && !headers.contains("Content-Length")) {
      head += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    }
  }
  boost::system::error_code ignored;  // a server that refuses early stops reading
  const std::array<asio::const_buffer, 3> parts{asio::buffer(head), asio::buffer("\r\n", 2),
                                                asio::buffer(body.data(), body.size())};
  asio::write(socket, parts, ignored);
  return parse_reply(read_all(socket), method == "HEAD");
}

void send_and_leave(std::uint16_t port, std::string_view raw) {
  asio::io_context context;
  tcp::socket socket{context};
  socket.connect(loopback(port));
  asio::write(socket, asio::buffer(raw.data(), raw.size()));
}

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "tayga-edge-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error{"mkdtemp"};
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryFolder::path(const std::string& name) const {
  return name.empty() ? path_.string() : (path_ / name).string();
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file{path, std::ios::binary};
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream{path, std::ios::binary} << text;
}

int run_command(const std::string& command, int seconds, const std::string& log) {
  // The first word runs under timeout(1) itself, so that nothing outlives the test.
  const std::string limited =
      "timeout -k 1 " + std::to_string(seconds) + " " + command + " </dev/null >" + log + " 2>&1";
  const int status = std::system(limited.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::future<int> start_command(const std::string& command, int seconds, const std::string& log) {
  return std::async(std::launch::async, run_command, command, seconds, log);
}

const std::string& ladder_file() {
  static const TemporaryFolder folder;
  static const std::string file = [] {
    const std::string path = folder.path("ladder.mp4");
    const int status = run_command(
        "ffmpeg -v error -y -f lavfi -i testsrc2=size=320x180:rate=25 -f lavfi -i sine=1000 -t 8 "
        "-filter_complex '[0:v]split=3[a][b][c];[b]scale=240:136[b2];[c]scale=160:90[c2]' "
        "-map '[a]' -map '[b2]' -map '[c2]' -map 1:a -c:v libx264 -preset ultrafast -g 25 "
        "-keyint_min 25 -sc_threshold 0 -b:v:0 300k -b:v:1 200k -b:v:2 100k -c:a aac -b:a 64k "
        "-pix_fmt yuv420p " +
            path,
        60, folder.path("log"));
    if (status != 0) throw std::runtime_error{"ffmpeg: " + read_file(folder.path("log"))};
    return path;
  }();
  return file;
}

std::string ladder_input(double seconds, bool fast) {
  return std::string{"ffmpeg -v error "} + (fast ? "" : "-re ") + "-stream_loop -1 -i " +
         ladder_file() + " -t " + std::to_string(seconds) + " -c copy ";
}

bool eventually(Loop& loop, std::chrono::milliseconds limit, const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!loop.run(done)) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  }
  return true;
}

}  // namespace tayga::test
