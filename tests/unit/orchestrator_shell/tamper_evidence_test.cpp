#include "orchestrator/app/tamper_evidence.hpp"

#include "common/media/slice.hpp"
#include "common/wire/frame.hpp"
#include "tests/support/catch.hpp"

using namespace tayga;
using namespace tayga::orch;

namespace {

struct Fixture {
  crypto::SigningKey key = [] {
    crypto::init();
    return crypto::SigningKey::generate();
  }();
  Bytes payload = Bytes(5000, std::byte{0x5A});
  media::SliceHeader header;

  Fixture() {
    header.stream = key.stream_id();
    header.track = TrackId{1};
    header.seq = SliceSeq{42};
    header.offset = 0;
    header.first = true;
    header.path = "a.ts";
    header.length = static_cast<std::uint32_t>(payload.size());
    header.chunk_hashes = media::hash_chunks(payload);
  }

  /// The payload of the chunk frame of `index`, as a relay received it.
  Bytes chunk(std::uint16_t index, ByteView bytes) const {
    const auto frame = wire::serialize_chunk_frame(
        {wire::to_stream_tag(header.stream), header.track, header.seq, index, bytes});
    return Bytes(frame->begin() + wire::kFrameHeaderSize, frame->end());
  }
  TamperReport report(Bytes chunk_payload) const {
    return {NodeId{}, media::sign_slice_header(header, key), std::move(chunk_payload)};
  }
  ByteView first_chunk() const { return ByteView{payload}.first(wire::kChunkSize); }
  std::optional<StreamId> judge(const TamperReport& r) const {
    return find_tampered_stream(r, [this](const StreamId& id) { return id == header.stream; });
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a chunk that does not match its signed header proves tampering") {
  Bytes bad(first_chunk().begin(), first_chunk().end());
  bad[100] ^= std::byte{1};
  CHECK(judge(report(chunk(0, bad))) == header.stream);
  CHECK(judge(report(chunk(7, first_chunk()))) == header.stream);  // no such chunk in the slice
}

TEST_CASE_METHOD(Fixture, "a genuine chunk proves nothing") {
  CHECK_FALSE(judge(report(chunk(0, first_chunk()))));
}

TEST_CASE_METHOD(Fixture, "a header that the stream did not sign proves nothing") {
  TamperReport forged = report(chunk(0, ByteView{payload}.first(10)));
  forged.slice_header.back() ^= std::byte{1};
  CHECK_FALSE(judge(forged));
}

TEST_CASE_METHOD(Fixture, "a chunk of another slice proves nothing") {
  const TamperReport genuine = report({});
  header.seq = SliceSeq{43};
  CHECK_FALSE(judge({NodeId{}, genuine.slice_header, chunk(0, ByteView{payload}.first(10))}));
}

TEST_CASE_METHOD(Fixture, "an unknown stream or broken layouts prove nothing") {
  const auto nobody = [](const StreamId&) { return false; };
  CHECK_FALSE(find_tampered_stream(report(chunk(0, ByteView{payload}.first(10))), nobody));
  CHECK_FALSE(judge({NodeId{}, {}, {}}));
  CHECK_FALSE(judge(report(Bytes(3))));
}
