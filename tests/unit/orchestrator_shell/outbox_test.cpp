#include "orchestrator/rpc/outbox.hpp"

#include "tests/support/catch.hpp"

#include <string>
#include <vector>

using namespace tayga;
using namespace tayga::orch;

namespace {

IssuedAssignment assignment(std::byte stream, std::uint64_t revision) {
  IssuedAssignment a;
  a.target.stream.bytes.fill(stream);
  a.target.revision = revision;
  return a;
}

ReceiptAnswers answers(std::uint64_t batch) {
  ReceiptAnswers a;
  a.batch = batch;
  return a;
}

/// "a<revision>", "r<batch>", "o<name>", "x<name>", "w": in the order in which they leave.
std::vector<std::string> drain(Outbox& outbox) {
  std::vector<std::string> out;
  while (const auto event = outbox.pop()) {
    if (const auto* a = std::get_if<IssuedAssignment>(&*event)) {
      out.push_back("a" + std::to_string(a->target.revision));
    } else if (const auto* r = std::get_if<ReceiptAnswers>(&*event)) {
      out.push_back("r" + std::to_string(r->batch));
    } else if (const auto* o = std::get_if<PublishOffer>(&*event)) {
      out.push_back("o" + o->stream_name);
    } else if (const auto* x = std::get_if<PublishWithdrawal>(&*event)) {
      out.push_back("x" + x->stream_name);
    } else {
      out.emplace_back("w");
    }
  }
  return out;
}

constexpr Outbox::Limits kLimits{8, 2};

}  // namespace

TEST_CASE("an outbox keeps the order of different subjects") {
  Outbox outbox{kLimits};
  outbox.push(Welcome{});
  outbox.push(assignment(std::byte{1}, 5));
  outbox.push(answers(1));
  outbox.push(assignment(std::byte{2}, 6));
  CHECK(drain(outbox) == std::vector<std::string>{"w", "a5", "r1", "a6"});
  CHECK(outbox.empty());
}

TEST_CASE("a newer assignment takes the place of an unsent older one of its stream") {
  Outbox outbox{kLimits};
  outbox.push(assignment(std::byte{1}, 5));
  outbox.push(assignment(std::byte{2}, 6));
  CHECK(outbox.push(assignment(std::byte{1}, 7)) == Outbox::Pushed::replaced);
  CHECK(drain(outbox) == std::vector<std::string>{"a7", "a6"});
  CHECK(outbox.push(assignment(std::byte{1}, 8)) == Outbox::Pushed::queued);
}

TEST_CASE("an offer and its withdrawal are one subject") {
  Outbox outbox{kLimits};
  PublishOffer offer;
  offer.stream_name = "tv";
  outbox.push(offer);
  CHECK(outbox.push(PublishWithdrawal{"tv"}) == Outbox::Pushed::replaced);
  CHECK(drain(outbox) == std::vector<std::string>{"xtv"});
}

TEST_CASE("of too many receipt answers the oldest is dropped") {
  Outbox outbox{kLimits};
  outbox.push(answers(1));
  outbox.push(Welcome{});
  outbox.push(answers(2));
  CHECK(outbox.push(answers(3)) == Outbox::Pushed::dropped_oldest);
  CHECK(drain(outbox) == std::vector<std::string>{"w", "r2", "r3"});
}

TEST_CASE("a full outbox takes no more and says so, except for newer states of what it holds") {
  Outbox outbox{kLimits};
  for (int i = 0; i < 8; ++i) {
    CHECK(outbox.push(assignment(static_cast<std::byte>(i), 1)) == Outbox::Pushed::queued);
  }
  CHECK(outbox.push(assignment(std::byte{9}, 1)) == Outbox::Pushed::overflow);
  CHECK(outbox.push(assignment(std::byte{3}, 2)) == Outbox::Pushed::replaced);
  CHECK(outbox.size() == 8);
}
