#include "common/admin/client.hpp"
#include "common/admin/server.hpp"
#include "common/async/task_group.hpp"
#include "common/async/timeout.hpp"
#include "tests/support/catch.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

using namespace tayga;
using namespace tayga::admin;
using async::Task;
namespace asio = boost::asio;
namespace json = boost::json;

namespace {

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "tayga-admin-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error{"mkdtemp failed"};
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string file(const char* name) const { return path_ / name; }
  [[nodiscard]] std::string path() const { return path_; }

 private:
  std::filesystem::path path_;
};

Task<Answer> handle(std::string command, json::object args) {
  if (command == "echo") co_return success(std::move(args));
  if (command == "throw") throw std::runtime_error{"broken"};
  if (command == "hang") (void)co_await async::sleep_for(1h);
  if (command == "large") co_return success(json::string(1'000'000, 'x'));
  co_return Answer{Failure{"unknown_command", "there is no command " + command}};
}

/// A server in its own thread.
class Running {
 public:
  explicit Running(const std::string& path, ServerOptions options = {})
      : server_{io_.get_executor(), options, handle}, tasks_{io_.get_executor(), "test", 1} {
    server_.listen(path).value();
    thread_ = std::thread{[this] { io_.run(); }};
  }
  ~Running() {
    asio::post(io_, [this] { (void)tasks_.spawn(server_.stop()); });
    thread_.join();
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  asio::io_context io_{1};
  Server server_;
  async::TaskGroup tasks_;
  std::thread thread_;
};

/// A socket file whose program has died.
void leave_stale_socket(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  ::close(fd);
}

error_code listen_error(const std::string& path) {
  asio::io_context io;
  Server server{io.get_executor(), {}, handle};
  return server.listen(path).error();
}

std::string one_line(asio::local::stream_protocol::socket& socket) {
  std::string line;
  boost::system::error_code error;
  asio::read_until(socket, asio::dynamic_buffer(line), '\n', error);
  return line;
}

}  // namespace

TEST_CASE("a command reaches the handler and its answer comes back") {
  const Folder folder;
  const Running running{folder.file("s")};
  const auto answer = call(folder.file("s"), "echo", {{"a", 1}}, 10s);
  REQUIRE(answer.has_value());
  CHECK((std::get<json::value>(*answer) == json::object{{"a", 1}}));
  const auto large = call(folder.file("s"), "large", {}, 10s);
  REQUIRE(large.has_value());
  CHECK(std::get<json::value>(*large).as_string().size() == 1'000'000);
}

TEST_CASE("a command that fails or throws gives a code and a message") {
  const Folder folder;
  const Running running{folder.file("s")};
  const auto unknown = call(folder.file("s"), "dance", {}, 10s);
  REQUIRE(unknown.has_value());
  CHECK((std::get<Failure>(*unknown) == Failure{"unknown_command", "there is no command dance"}));
  const auto broken = call(folder.file("s"), "throw", {}, 10s);
  REQUIRE(broken.has_value());
  CHECK((std::get<Failure>(*broken) == Failure{"internal", "broken"}));
}

TEST_CASE("a client is told apart: not running, no permission, too slow, not this protocol") {
  const Folder folder;
  CHECK(call(folder.file("none"), "x", {}, 1s).error() == make_error_code(AdminErrc::not_running));
  leave_stale_socket(folder.file("dead"));
  CHECK(call(folder.file("dead"), "x", {}, 1s).error() == make_error_code(AdminErrc::not_running));
  CHECK(call(std::string(200, 'a'), "x", {}, 1s).error() == make_error_code(AdminErrc::bad_path));
  const Running running{folder.file("s")};
  CHECK(call(folder.file("s"), "hang", {}, 50ms).error() == make_error_code(AdminErrc::timeout));
  const json::object large{{"a", std::string(kRequestSizeMax, 'a')}};
  CHECK(call(folder.file("s"), "echo", large, 1s).error() == make_error_code(AdminErrc::protocol));
  CHECK(exit_code(AdminErrc::not_running) == 3);
  CHECK(exit_code(AdminErrc::permission_denied) == 77);
  CHECK(exit_code(AdminErrc::timeout) == 75);
  CHECK(exit_code(AdminErrc::protocol) == 69);
}

TEST_CASE("the socket is its owner's alone and goes with its server") {
  const Folder folder;
  const std::string path = folder.file("made/here/s");
  std::filesystem::create_directory(folder.file("made"));
  {
    const Running running{path};
    struct stat info {};
    REQUIRE(::stat(path.c_str(), &info) == 0);
    CHECK((info.st_mode & 07777) == 0600);
    REQUIRE(::stat(folder.file("made/here").c_str(), &info) == 0);
    CHECK((info.st_mode & 07777) == 0700);
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("a dead program's socket is replaced, a living one's is not") {
  const Folder folder;
  const std::string path = folder.file("s");
  leave_stale_socket(path);
  const Running running{path};
  CHECK(call(path, "echo", {}, 10s).has_value());
  CHECK(listen_error(path) == make_error_code(AdminErrc::already_running));
  CHECK(call(path, "echo", {}, 10s).has_value());
}

TEST_CASE("a path that holds something else, or that others could take over, is refused") {
  const Folder folder;
  std::ofstream{folder.file("file")} << "precious";
  CHECK(listen_error(folder.file("file")) == make_error_code(AdminErrc::bad_path));
  CHECK(std::filesystem::file_size(folder.file("file")) == 8);
  CHECK(listen_error(folder.file("file/s")) == make_error_code(AdminErrc::bad_path));
  CHECK(listen_error(folder.file(std::string(200, 'a').c_str())) ==
        make_error_code(AdminErrc::bad_path));
  REQUIRE(::chmod(folder.path().c_str(), 0777) == 0);
  CHECK(listen_error(folder.file("s")) == make_error_code(AdminErrc::unsafe_folder));
}

TEST_CASE(
    "a client may send many requests, nonsense is answered, and too much ends the connection") {
  const Folder folder;
  const Running running{folder.file("s")};
  asio::io_context io;
  asio::local::stream_protocol::socket socket{io};
  socket.connect({folder.file("s")});
  boost::system::error_code error;
  asio::write(socket, asio::buffer(std::string_view{"nonsense\n"}));
  CHECK(one_line(socket) ==
        "{\"ok\":false,\"error\":{\"code\":\"bad_request\",\"message\":\"a request is one line of "
        "JSON with a command\"}}\n");
  asio::write(socket, asio::buffer(std::string_view{"{\"command\":\"echo\"}\n"}));
  CHECK(one_line(socket) == "{\"ok\":true,\"result\":{}}\n");
  const std::string endless(2 * kRequestSizeMax, 'a');
  asio::write(socket, asio::buffer(endless), error);
  CHECK(one_line(socket).empty());
}

TEST_CASE("an idle client is closed, and one too many is not served") {
  const Folder folder;
  ServerOptions options;
  options.clients_max = 1;
  options.idle_timeout = 200ms;
  const Running running{folder.file("s"), options};
  asio::io_context io;
  asio::local::stream_protocol::socket first{io};
  first.connect({folder.file("s")});
  asio::write(first, asio::buffer(std::string_view{"{\"command\":\"echo\"}\n"}));
  CHECK(one_line(first) == "{\"ok\":true,\"result\":{}}\n");
  asio::local::stream_protocol::socket second{io};
  second.connect({folder.file("s")});
  CHECK(one_line(second).empty());
  CHECK(one_line(first).empty());
  CHECK(call(folder.file("s"), "echo", {}, 10s).has_value());
}
