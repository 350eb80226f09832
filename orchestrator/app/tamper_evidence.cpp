#include "orchestrator/app/tamper_evidence.hpp"

#include "common/media/slice.hpp"
#include "common/wire/frame.hpp"

namespace tayga::orch {

std::optional<StreamId> find_tampered_stream(const TamperReport& report,
                                             const std::function<bool(const StreamId&)>& is_known) {
  const auto header = media::parse_slice_header(report.slice_header);
  const auto chunk = wire::parse_chunk(report.chunk);
  if (!header || !chunk || !is_known(header->stream)) return std::nullopt;
  const bool same_slice = chunk->stream_tag == wire::to_stream_tag(header->stream) &&
                          chunk->track == header->track && chunk->slice_seq == header->seq;
  if (!same_slice) return std::nullopt;
  const bool genuine = chunk->index < header->chunk_count() &&
                       media::verify_chunk(*header, chunk->index, chunk->bytes);
  if (genuine || !media::verify_slice_header(report.slice_header, header->stream)) {
    return std::nullopt;
  }
  return header->stream;
}

}  // namespace tayga::orch
