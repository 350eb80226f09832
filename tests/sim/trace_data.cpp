#include "tests/sim/trace_data.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <limits>
#include <string_view>

namespace tayga::sim {
namespace {

constexpr std::size_t kFileSizeMax = 64 * 1024 * 1024;
constexpr std::uint32_t kRowsMin = 16;
constexpr std::uint32_t kRowsMax = 4096;

/// Empty when the file is not there, not whole, or too large to be one of these.
std::string read_gzip(const std::string& path) {
  std::string text;
  gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) return text;
  std::array<char, 65536> part{};
  int size = 0;
  while ((size = gzread(file, part.data(), static_cast<unsigned>(part.size()))) > 0) {
    text.append(part.data(), static_cast<std::size_t>(size));
    if (text.size() > kFileSizeMax) break;
  }
  if (size != 0) text.clear();
  gzclose(file);
  return text;
}

/// Calls `visit(fields)` for each line.
template <class Visit>
void for_each_line(std::string_view text, Visit&& visit) {
  std::vector<std::string_view> fields;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    fields.clear();
    while (true) {
      const std::size_t comma = line.find(',');
      fields.push_back(line.substr(0, comma));
      if (comma == std::string_view::npos) break;
      line.remove_prefix(comma + 1);
    }
    visit(fields);
  }
}

std::optional<std::uint64_t> to_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end == text.data()) return std::nullopt;
  return value;
}

/// "12.348" Mbit/s as bit/s, without floating point.
std::optional<std::uint64_t> to_bps(std::string_view mbps) {
  const std::size_t dot = mbps.find('.');
  const auto whole = to_number(mbps.substr(0, dot));
  if (!whole) return std::nullopt;
  std::uint64_t bps = *whole * 1'000'000;
  if (dot == std::string_view::npos) return bps;
  std::uint64_t place = 100'000;
  for (const char c : mbps.substr(dot + 1)) {
    if (c < '0' || c > '9') break;
    bps += static_cast<std::uint64_t>(c - '0') * place;
    place /= 10;
  }
  return bps;
}

void add_trace(std::vector<RateTrace>& traces, RateTrace trace) {
  const auto is_up = [](std::uint64_t rate) { return rate > 0; };
  if (std::any_of(trace.rates_bps.begin(), trace.rates_bps.end(), is_up)) {
    traces.push_back(std::move(trace));
  }
}

}  // namespace

std::optional<RttMatrix> load_rtt_matrix(const std::string& data_dir) {
  RttMatrix matrix;
  matrix.name = "planetlab490_slice01";
  const std::string text = read_gzip(data_dir + "/rtt/" + matrix.name + ".csv.gz");
  bool is_square = true;
  for_each_line(text, [&](const std::vector<std::string_view>& fields) {
    if (fields.size() == 1 && fields.front().empty()) return;
    if (matrix.rows == 0) matrix.rows = static_cast<std::uint32_t>(fields.size());
    is_square = is_square && fields.size() == matrix.rows;
    for (const std::string_view field : fields) {
      const auto value = to_number(field);
      is_square = is_square && value.has_value();
      const std::uint64_t max = std::numeric_limits<std::uint16_t>::max();
      matrix.tenths_ms.push_back(static_cast<std::uint16_t>(std::min(value.value_or(0), max)));
    }
  });
  const std::size_t cells = std::size_t{matrix.rows} * matrix.rows;
  const bool is_sane = matrix.rows >= kRowsMin && matrix.rows <= kRowsMax;
  if (!is_square || !is_sane || matrix.tenths_ms.size() != cells) return std::nullopt;
  return matrix;
}

std::vector<RateTrace> load_uplink_traces(const std::string& data_dir) {
  std::vector<RateTrace> traces;
  for (const char* name : {"ATT-LTE-driving-2016_up", "ATT-LTE-driving_up"}) {
    RateTrace trace{name, 100ms, {}};
    const std::string path = data_dir + "/throughput/mahimahi/" + name + ".csv.gz";
    for_each_line(read_gzip(path), [&](const std::vector<std::string_view>& fields) {
      const auto kbps = fields.size() == 2 ? to_number(fields[1]) : std::nullopt;
      if (kbps) trace.rates_bps.push_back(*kbps * 1000);
    });
    add_trace(traces, std::move(trace));
  }
  RateTrace satellite{"starlink run00", 1s, {}};
  const std::string path = data_dir + "/throughput/starlink/run00.csv.gz";
  for_each_line(read_gzip(path), [&](const std::vector<std::string_view>& fields) {
    if (fields.size() < 3 || !to_number(fields[0])) return;
    if (const auto bps = to_bps(fields[2])) satellite.rates_bps.push_back(*bps);
  });
  add_trace(traces, std::move(satellite));
  return traces;
}

}  // namespace tayga::sim
