#include "tests/bench/commands.hpp"

#include "common/base/result.hpp"

#include <sys/socket.h>

#include <stdexcept>
#include <utility>

namespace tayga::bench {

Commands::Commands(boost::asio::io_context& io, Channel& channel)
    : io_{io}, channel_{channel}, descriptor_{io, channel.fd()} {}

Commands::~Commands() {
  descriptor_.release();  // the channel closes it
}

void Commands::on(const std::string& command, Handler handler) {
  handlers_[command] = std::move(handler);
}

void Commands::run(const boost::json::object& ready) {
  channel_.send(ready);
  wait();
  io_.run();
  if (!failure_.empty()) throw std::runtime_error{failure_};
}

void Commands::fail(std::string what) {
  if (failure_.empty()) failure_ = std::move(what);
  io_.stop();
}

void Commands::wait() {
  descriptor_.async_wait(
      boost::asio::posix::stream_descriptor::wait_read, [this](const error_code& ec) {
        char probe = 0;
        const bool hung_up = ::recv(channel_.fd(), &probe, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
        if (ec || hung_up) return io_.stop();
        const boost::json::object message = channel_.receive(1s);
        const std::string command{message.at("command").as_string()};
        handlers_.at(command)(message, [this](boost::json::object reply) { channel_.send(reply); });
        wait();
      });
}

}  // namespace tayga::bench
