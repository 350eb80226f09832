#include "common/metrics/registry.hpp"

#include "common/base/check.hpp"
#include "common/metrics/names.hpp"

#include <variant>

namespace tayga::metrics {
namespace {

constexpr std::string_view kRefusedName = "tayga_metrics_refused_series_total";

/// `{a="1",b="2"}`, with `le` behind the others; nothing without labels.
std::string label_text(const std::vector<std::string>& names,
                       const std::vector<std::string>& values, std::string_view le = {}) {
  std::string out;
  const auto append = [&](std::string_view name, std::string_view value) {
    out += out.empty() ? "{" : ",";
    out += name;
    out += "=\"";
    out += escape_label_value(value);
    out += '"';
  };
  for (std::size_t i = 0; i < names.size(); ++i) append(names[i], values[i]);
  if (!le.empty()) append("le", le);
  if (!out.empty()) out += '}';
  return out;
}

void append_line(std::string& out, std::string_view name, std::string_view labels,
                 std::string_view value) {
  out += name;
  out += labels;
  out += ' ';
  out += value;
  out += '\n';
}

using Names = std::vector<std::string>;

void append_metric(std::string& out, const std::string& name, const Names& labels,
                   const Names& values, const Counter& counter) {
  append_line(out, name, label_text(labels, values), std::to_string(counter.value()));
}

void append_metric(std::string& out, const std::string& name, const Names& labels,
                   const Names& values, const Gauge& gauge) {
  append_line(out, name, label_text(labels, values), format_value(gauge.value()));
}

/// The count is the sum of the buckets just read, so that it never contradicts them.
void append_metric(std::string& out, const std::string& name, const Names& labels,
                   const Names& values, const Histogram& histogram) {
  std::uint64_t count = 0;
  for (std::size_t i = 0; i <= histogram.bounds().size(); ++i) {
    const bool last = i == histogram.bounds().size();
    const std::string le = last ? "+Inf" : format_value(histogram.bounds()[i]);
    count += histogram.bucket(i);
    append_line(out, name + "_bucket", label_text(labels, values, le), std::to_string(count));
  }
  const std::string text = label_text(labels, values);
  append_line(out, name + "_sum", text, format_value(histogram.sum()));
  append_line(out, name + "_count", text, std::to_string(count));
}

std::vector<std::string> to_label_names(Registry::LabelNames labels) {
  std::vector<std::string> names{labels.begin(), labels.end()};
  TAYGA_CHECK(!names.empty());
  for (const std::string& name : names) TAYGA_CHECK(is_label_name(name));
  return names;
}

template <class Metric>
using MetricPtr = std::unique_ptr<Metric>;

}  // namespace

template <class Metric>
Family<Metric>::Family(std::vector<std::string> label_names, std::size_t series_max, Make make)
    : names_{std::move(label_names)},
      series_max_{series_max},
      make_{std::move(make)},
      beyond_{make_()} {}

template <class Metric>
Metric& Family<Metric>::with(std::initializer_list<std::string_view> values) {
  TAYGA_CHECK(values.size() == names_.size());
  std::vector<std::string> key{values.begin(), values.end()};
  const std::scoped_lock lock{mutex_};
  const auto found = series_.find(key);
  if (found != series_.end()) return *found->second;
  if (series_.size() >= series_max_) {
    refused_.add();
    return *beyond_;
  }
  return *series_.emplace(std::move(key), make_()).first->second;
}

template class Family<Counter>;
template class Family<Gauge>;
template class Family<Histogram>;

struct Registry::Entry {
  using Body = std::variant<std::monostate, MetricPtr<Counter>, MetricPtr<Gauge>,
                            MetricPtr<Histogram>, MetricPtr<Family<Counter>>,
                            MetricPtr<Family<Gauge>>, MetricPtr<Family<Histogram>>,
                            std::function<double()>, std::function<std::uint64_t()>>;

  std::string name;
  std::string help;
  std::string_view type;
  Body body;

  template <class Metric>
  void append_to(std::string& out, const MetricPtr<Metric>& metric) const {
    append_metric(out, name, {}, {}, *metric);
  }
  template <class Metric>
  void append_to(std::string& out, const MetricPtr<Family<Metric>>& family) const {
    family->visit([&](const Names& values, const Metric& metric) {
      append_metric(out, name, family->label_names(), values, metric);
    });
  }
  void append_to(std::string& out, const std::function<double()>& read) const {
    append_line(out, name, {}, format_value(read()));
  }
  void append_to(std::string& out, const std::function<std::uint64_t()>& read) const {
    append_line(out, name, {}, std::to_string(read()));
  }
  void append_to(std::string&, std::monostate) const {}

  [[nodiscard]] std::uint64_t refused() const {
    const auto of = [](const auto& body_of) -> std::uint64_t {
      if constexpr (requires { body_of->refused(); }) {
        return body_of->refused();
      } else {
        return 0;
      }
    };
    return std::visit(of, body);
  }
};

Registry::Registry() = default;
Registry::~Registry() = default;

Registry::Entry& Registry::add(std::string name, std::string help, std::string_view type) {
  TAYGA_CHECK(is_metric_name(name) && name != kRefusedName);
  TAYGA_CHECK(name.ends_with("_total") == (type == "counter"));
  const std::scoped_lock lock{mutex_};
  const auto [entry, is_new] = entries_.emplace(name, std::make_unique<Entry>());
  TAYGA_CHECK(is_new);
  entry->second->name = std::move(name);
  entry->second->help = std::move(help);
  entry->second->type = type;
  return *entry->second;
}

namespace {

/// Puts a new metric into an entry's body and returns it.
template <class Metric, class Body, class... Args>
Metric& emplace_in(Body& body, Args&&... args) {
  return *body.template emplace<MetricPtr<Metric>>(
      std::make_unique<Metric>(std::forward<Args>(args)...));
}

}  // namespace

Counter& Registry::counter(std::string name, std::string help) {
  return emplace_in<Counter>(add(std::move(name), std::move(help), "counter").body);
}

Gauge& Registry::gauge(std::string name, std::string help) {
  return emplace_in<Gauge>(add(std::move(name), std::move(help), "gauge").body);
}

Histogram& Registry::histogram(std::string name, std::string help, std::span<const double> bounds) {
  return emplace_in<Histogram>(add(std::move(name), std::move(help), "histogram").body, bounds);
}

Family<Counter>& Registry::counters(std::string name, std::string help, LabelNames labels,
                                    std::size_t series_max) {
  return emplace_in<Family<Counter>>(add(std::move(name), std::move(help), "counter").body,
                                     to_label_names(labels), series_max,
                                     [] { return std::make_unique<Counter>(); });
}

Family<Gauge>& Registry::gauges(std::string name, std::string help, LabelNames labels,
                                std::size_t series_max) {
  return emplace_in<Family<Gauge>>(add(std::move(name), std::move(help), "gauge").body,
                                   to_label_names(labels), series_max,
                                   [] { return std::make_unique<Gauge>(); });
}

Family<Histogram>& Registry::histograms(std::string name, std::string help, LabelNames labels,
                                        std::span<const double> bounds, std::size_t series_max) {
  std::vector<double> copy{bounds.begin(), bounds.end()};
  return emplace_in<Family<Histogram>>(
      add(std::move(name), std::move(help), "histogram").body, to_label_names(labels), series_max,
      [kept = std::move(copy)] { return std::make_unique<Histogram>(kept); });
}

void Registry::gauge_callback(std::string name, std::string help, std::function<double()> read) {
  add(std::move(name), std::move(help), "gauge").body = std::move(read);
}

void Registry::counter_callback(std::string name, std::string help,
                                std::function<std::uint64_t()> read) {
  add(std::move(name), std::move(help), "counter").body = std::move(read);
}

std::string Registry::expose() const {
  std::string out;
  std::uint64_t refused = 0;
  const std::scoped_lock lock{mutex_};
  for (const auto& [name, entry] : entries_) {
    out += "# HELP " + name + " " + escape_help(entry->help) + "\n# TYPE " + name + " ";
    out += entry->type;
    out += '\n';
    std::visit([&](const auto& body) { entry->append_to(out, body); }, entry->body);
    refused += entry->refused();
  }
  out += "# HELP " + std::string{kRefusedName} +
         " Label sets that were not counted because their family is full.\n# TYPE " +
         std::string{kRefusedName} + " counter\n";
  append_line(out, kRefusedName, {}, std::to_string(refused));
  return out;
}

}  // namespace tayga::metrics
