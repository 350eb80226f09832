#pragma once

#include "tests/bench/process.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <functional>
#include <map>
#include <string>

namespace tayga::bench {

/// Serves the commands that a role gets, on its io_context.
class Commands {
 public:
  using Reply = std::function<void(boost::json::object)>;
  using Handler = std::function<void(const boost::json::object& arguments, Reply reply)>;

  Commands(boost::asio::io_context& io, Channel& channel);
  ~Commands();

  /// `handler` replies at once or later, once.
  void on(const std::string& command, Handler handler);
  /// Says that the role is ready, then runs the context until the bench has hung up or fail().
  /// Throws std::runtime_error what fail() was given.
  void run(const boost::json::object& ready);
  /// Ends run() with a failure that the bench is told.
  void fail(std::string what);

 private:
  void wait();

  boost::asio::io_context& io_;
  Channel& channel_;
  boost::asio::posix::stream_descriptor descriptor_;
  std::map<std::string, Handler> handlers_;
  std::string failure_;
};

}  // namespace tayga::bench
