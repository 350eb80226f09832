#include "daemon/stream_words.hpp"

#include "common/base/time.hpp"
#include "common/base/units.hpp"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <cmath>
#include <cstdint>
#include <string_view>

namespace tayga {
namespace {

namespace json = boost::json;

constexpr std::size_t kShortIdSize = 8;  // as logs name nodes

std::string text_of(const json::value& value) {
  return value.is_string() ? std::string{value.as_string()} : json::serialize(value);
}
std::string node_of(const json::value& value) {
  return text_of(value).substr(0, kShortIdSize);
}
std::string size_of(const json::value& value) {
  return format_size(value.to_number<std::uint64_t>());
}
std::string ms_of(const json::value& value) {
  const auto ms = static_cast<std::int64_t>(std::round(value.to_number<double>()));
  return format_duration(std::chrono::milliseconds{ms});
}

std::string hops_of(const json::value& value) {
  const auto hops = value.to_number<std::uint64_t>();
  if (hops == 0) return "";  // it has not said yet
  return " (" + std::to_string(hops) + (hops == 1 ? " hop)" : " hops)");
}

std::string stripe_line(const json::object& stripe) {
  std::string out =
      "  track " + text_of(stripe.at("track")) + " stripe " + text_of(stripe.at("stripe")) + "  ";
  if (stripe.at("parent").is_null()) {
    out += "no parent";
  } else {
    out += "from " + node_of(stripe.at("parent")) + hops_of(stripe.at("hops"));
    if (!stripe.at("subscribed").as_bool()) out += ", not confirmed";
    if (stripe.at("suspected").as_bool()) out += ", SUSPECTED";
  }
  if (stripe.at("standby").is_null()) {
    out += "; no standby";
  } else {
    out += "; standby " + node_of(stripe.at("standby"));
    out += stripe.at("standby_ready").as_bool() ? " ready" : " not ready";
  }
  return out + "; next slice " + text_of(stripe.at("next_seq")) + ", " +
         ms_of(stripe.at("lateness_ms")) + " behind the publisher\n";
}

/// What the lost parent did.
std::string what_happened(std::string_view reason) {
  if (reason == "connect_failed") return "could not be reached";
  if (reason == "closed") return "closed its session";
  if (reason == "reset") return "broke off";
  if (reason == "silent") return "fell silent";
  if (reason == "refused") return "refused to serve";
  if (reason == "tampered") return "sent altered media";
  if (reason == "go_away") return "left as announced";
  return "was lost (" + std::string{reason} + ")";
}

std::string repair_line(const json::object& stream) {
  const json::value& last = stream.at("last_repair");
  if (last.is_null()) return "";
  const json::object& repair = last.as_object();
  const auto age_us = static_cast<Duration::rep>(repair.at("age_s").to_number<std::int64_t>()) *
                      Duration{1s}.count();
  return "  last repair: " + format_duration(Duration{age_us}) + " ago, " +
         node_of(repair.at("lost")) + " " + what_happened(text_of(repair.at("reason"))) + ", " +
         node_of(repair.at("parent")) + " took over after " + ms_of(repair.at("gap_ms")) + "; " +
         text_of(stream.at("repairs")) + " repairs so far\n";
}

std::string rescue_line(const json::object& stream) {
  const auto gateway = stream.at("gateway_bytes").to_number<std::uint64_t>();
  const auto origin = stream.at("origin_bytes").to_number<std::uint64_t>();
  if (gateway == 0 && origin == 0) return "";
  return "  rescued: " + size_of(stream.at("gateway_bytes")) + " from the gateway, " +
         size_of(stream.at("origin_bytes")) + " from the origin\n";
}

std::string stream_lines(const json::object& stream) {
  const bool publishing = stream.at("publishing").as_bool();
  const char* part = publishing                                ? "published here"
                     : stream.at("playing").as_array().empty() ? "carried"
                                                               : "played here";
  std::string out = text_of(stream.at("name")) + "  " + part + "; " +
                    text_of(stream.at("objects_complete")) + " objects whole, " +
                    text_of(stream.at("objects_late")) + " late, " +
                    text_of(stream.at("objects_lost")) + " lost; " +
                    size_of(stream.at("cached_bytes")) + " cached\n";
  if (publishing) return out;
  for (const json::value& stripe : stream.at("stripes").as_array()) {
    out += stripe_line(stripe.as_object());
  }
  return out + repair_line(stream) + rescue_line(stream);
}

}  // namespace

std::string describe_streams(const json::object& answer) {
  const json::array& streams = answer.at("streams").as_array();
  if (streams.empty()) return "no streams\n";
  std::string out;
  for (const json::value& stream : streams) out += stream_lines(stream.as_object());
  const json::object& gaps = answer.at("repair_gap_ms").as_object();
  if (gaps.at("count").to_number<std::uint64_t>() > 0) {
    out += "repairs of this node: " + text_of(gaps.at("count")) + ", half within " +
           ms_of(gaps.at("p50")) + ", the longest " + ms_of(gaps.at("max")) + "\n";
  }
  return out;
}

}  // namespace tayga
