#include "orchestrator/app/epoch_book.hpp"

#include "common/crypto/hash.hpp"
#include "tests/support/catch.hpp"

using namespace tayga;
using namespace tayga::orch;

namespace {

constexpr std::int64_t kDay = 24LL * 3600 * 1000;
constexpr std::int64_t kNoon = 20'000 * kDay + kDay / 2;

EpochSecret secret(std::uint8_t fill) {
  EpochSecret out;
  out.fill(static_cast<std::byte>(fill));
  return out;
}

}  // namespace

TEST_CASE("an accounting epoch is a day in UTC") {
  CHECK(accounting_epoch(0) == 0);
  CHECK(accounting_epoch(kDay - 1) == 0);
  CHECK(accounting_epoch(kDay) == 1);
  CHECK(accounting_epoch(kNoon) == 20'000);
}

TEST_CASE("the book asks for yesterday's, today's and tomorrow's secret, once") {
  EpochBook book;
  CHECK(book.missing(kNoon) == std::vector<std::uint32_t>{19'999, 20'000, 20'001});
  book.add(19'999, secret(1));
  book.add(20'000, secret(2));
  CHECK(book.missing(kNoon) == std::vector<std::uint32_t>{20'001});
  book.add(20'001, secret(3));
  CHECK(book.missing(kNoon).empty());
  CHECK(book.missing(kNoon + kDay) == std::vector<std::uint32_t>{20'002});
}

TEST_CASE("a stream's handles are today's, then yesterday's, then tomorrow's") {
  EpochBook book;
  StreamId stream;
  stream.bytes.fill(std::byte{7});
  for (std::uint8_t i = 0; i < 3; ++i) book.add(19'999U + i, secret(i));
  const std::vector<StreamHandle> expected{crypto::stream_handle(stream, secret(1)),
                                           crypto::stream_handle(stream, secret(0)),
                                           crypto::stream_handle(stream, secret(2))};
  CHECK(book.handles(stream, kNoon) == expected);
  CHECK(book.signing_epoch(kNoon) == 20'000);
  CHECK(book.handle(stream, 20'000) == expected[0]);
  CHECK(book.handle(stream, 20'001) == expected[2]);
}

TEST_CASE("without today's secret the newest known epoch before it goes on") {
  EpochBook book;
  for (std::uint8_t i = 0; i < 3; ++i) book.add(19'999U + i, secret(i));
  const std::int64_t resumed = kNoon + 9 * kDay;
  CHECK_FALSE(book.has(accounting_epoch(resumed)));
  CHECK(book.signing_epoch(resumed) == 20'001);
  CHECK(book.handles(StreamId{}, resumed) ==
        std::vector<StreamHandle>{crypto::stream_handle(StreamId{}, secret(2))});
  book.add(20'009, secret(9));
  CHECK(book.signing_epoch(resumed) == 20'009);
}

TEST_CASE("a clock set back behind every known epoch leaves the oldest one in use") {
  EpochBook book;
  for (std::uint8_t i = 0; i < 3; ++i) book.add(19'999U + i, secret(i));
  const std::int64_t set_back = kNoon - 500 * kDay;
  CHECK(book.signing_epoch(set_back) == 19'999);
  CHECK(book.handles(StreamId{}, set_back) ==
        std::vector<StreamHandle>{crypto::stream_handle(StreamId{}, secret(0))});
}

TEST_CASE("secrets that no day around today needs are forgotten") {
  EpochBook book;
  for (std::uint8_t i = 0; i < 3; ++i) book.add(19'999U + i, secret(i));
  book.add(20'500, secret(9));  // the clock was wrong for a moment
  book.prune(kNoon + kDay);
  CHECK_FALSE(book.has(19'999));
  CHECK(book.has(20'000));
  CHECK(book.has(20'001));
  CHECK_FALSE(book.has(20'500));
}
