#include "common/base/units.hpp"

#include "tests/support/catch.hpp"

using namespace tayga;

TEST_CASE("rates are bits per second with decimal multiples, in any case") {
  CHECK(parse_rate_bps("10mbit").value() == 10'000'000);
  CHECK(parse_rate_bps("1.5 Gbit").value() == 1'500'000'000);
  CHECK(parse_rate_bps("800KBIT").value() == 800'000);
  CHECK(parse_rate_bps("2500000").value() == 2'500'000);
  CHECK(parse_rate_bps("0").value() == 0);
}

TEST_CASE("sizes are bytes; K is decimal and KiB is binary") {
  CHECK(parse_size_bytes("500G").value() == 500'000'000'000);
  CHECK(parse_size_bytes("64MiB").value() == 64ULL * 1024 * 1024);
  CHECK(parse_size_bytes("10MB").value() == 10'000'000);
  CHECK(parse_size_bytes("4096").value() == 4096);
  CHECK(parse_size_bytes("1.5k").value() == 1500);
}

TEST_CASE("durations must say their unit") {
  CHECK(parse_duration("250ms").value() == 250ms);
  CHECK(parse_duration("30s").value() == 30s);
  CHECK(parse_duration("1.5s").value() == 1500ms);
  CHECK(parse_duration("10m").value() == 10min);
  CHECK(parse_duration("2h").value() == 2h);
  CHECK(parse_duration("7d").value() == 168h);
}

TEST_CASE("what is malformed, negative or too large is refused") {
  for (const char* bad : {"", "mbit", "-1mbit", "10mbits", "10 m bit", "1e3", "nan", "inf", "0x10",
                          "99999999999999999999", "10000000tbit"}) {
    CAPTURE(bad);
    CHECK(parse_rate_bps(bad).has_error());
  }
  for (const char* bad : {"", "k", "-5", "5kg", "9223372036854775808"}) {
    CAPTURE(bad);
    CHECK(parse_size_bytes(bad).has_error());
  }
  for (const char* bad : {"", "30", "-1s", "s", "1w", "99999999999d"}) {
    CAPTURE(bad);
    CHECK(parse_duration(bad).has_error());
  }
}

TEST_CASE("values are shown with three digits and a fitting unit") {
  CHECK(format_rate(0) == "0 bit/s");
  CHECK(format_rate(3'240'000) == "3.24 Mbit/s");
  CHECK(format_rate(150'000'000) == "150 Mbit/s");
  CHECK(format_size(1'500'000'000) == "1.50 GB");
  CHECK(format_size(999) == "999 B");
  CHECK(format_size(12'345) == "12.3 kB");
  CHECK(format_duration(12us) == "12 us");
  CHECK(format_duration(12ms) == "12 ms");
  CHECK(format_duration(3400ms) == "3.4 s");
  CHECK(format_duration(72min) == "1 h 12 min");
  CHECK(format_duration(50h) == "2 d 2 h");
  CHECK(format_duration(61s) == "1 min 1 s");
}
