#include "common/log/log.hpp"

#include "tests/support/catch.hpp"

#include <vector>

using namespace tayga;

namespace {

/// Collects lines while it lives, and restores level and output.
class Captured {
 public:
  Captured() {
    log::set_sink([this](log::Level, std::string_view line) { lines.emplace_back(line); });
  }
  ~Captured() {
    log::set_sink({});
    log::set_level(before_);
  }
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;

  /// The last line behind its time.
  [[nodiscard]] std::string last() const {
    return lines.empty() ? "" : lines.back().substr(lines.back().find(' ') + 1);
  }

  std::vector<std::string> lines;

 private:
  log::Level before_ = log::level();
};

constexpr TimePoint at(Duration since_zero) {
  return TimePoint{since_zero};
}

}  // namespace

TEST_CASE("a line is logfmt: time, level, area, message, fields") {
  Captured captured;
  log::info("session up", log::field("peer", "abc"), log::field("rtt_ms", 12),
            log::field("share", 0.5), log::field("home", true),
            log::field("size", std::size_t{1} << 40U), log::field("change", -3L));
  CHECK(captured.last() ==
        "level=info area=metrics msg=\"session up\" peer=abc rtt_ms=12 share=0.5 home=true "
        "size=1099511627776 change=-3");
  const std::string& line = captured.lines.back();
  CHECK(line.substr(0, 7) == "time=20");
  CHECK(line[line.find(' ') - 1] == 'Z');
}

TEST_CASE("a value can neither end the line nor forge a field") {
  Captured captured;
  log::warn("odd", log::field("v", "a b\n\"c\"=\\\x01"), log::field("e", ""),
            log::field("k", std::string{"x=y"}));
  CHECK(captured.last() ==
        "level=warn area=metrics msg=odd v=\"a b\\n\\\"c\\\"=\\\\\\x01\" e=\"\" k=\"x=y\"");
}

TEST_CASE("below the level nothing is written and nothing is computed") {
  Captured captured;
  int computed = 0;
  const auto costly = [&] {
    ++computed;
    return std::string{"value"};
  };
  log::set_level(log::Level::warn);
  log::info("quiet", log::field("v", costly));
  CHECK(captured.lines.empty());
  CHECK(computed == 0);
  log::set_level(log::Level::debug);
  log::debug("loud", log::field("v", costly));
  CHECK(captured.last() == "level=debug area=metrics msg=loud v=value");
  CHECK(computed == 1);
  log::set_level(log::Level::off);
  log::error("never");
  CHECK(captured.lines.size() == 1);
}

TEST_CASE("an error code is written as its message") {
  Captured captured;
  const auto error = boost::system::errc::make_error_code(boost::system::errc::address_in_use);
  log::error("cannot listen", log::field("error", error));
  CHECK(captured.last() ==
        "level=error area=metrics msg=\"cannot listen\" error=\"Address already in use\"");
}

TEST_CASE("levels have names, read in any case") {
  for (const auto level : {log::Level::trace, log::Level::debug, log::Level::info, log::Level::warn,
                           log::Level::error, log::Level::off}) {
    CHECK(log::parse_level(log::to_string(level)) == level);
  }
  CHECK(log::parse_level("WARN") == log::Level::warn);
  CHECK_FALSE(log::parse_level("warning").has_value());
  CHECK_FALSE(log::parse_level("").has_value());
}

TEST_CASE("a limited site writes its burst per interval and then says how many it held back") {
  log::SiteLimit limit{2, 10s};
  CHECK(limit.admit(at(0s)) == 0U);
  CHECK(limit.admit(at(1s)) == 0U);
  CHECK(limit.admit(at(2s)) == std::nullopt);
  CHECK(limit.admit(at(9s)) == std::nullopt);
  CHECK(limit.admit(at(10s)) == 2U);
  CHECK(limit.admit(at(11s)) == 0U);
  CHECK(limit.admit(at(12s)) == std::nullopt);

  Captured captured;
  log::SiteLimit site{1, 1h};
  log::at(site, log::Level::info, "first");
  log::at(site, log::Level::info, "second");
  CHECK(captured.lines.size() == 1);
}
