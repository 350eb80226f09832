#include "common/config/reader.hpp"

#include "common/base/check.hpp"
#include "common/config/document.hpp"
#include "common/config/nearest_key.hpp"

#include <algorithm>
#include <cctype>
#include <set>
#include <utility>

namespace tayga::config {
namespace {

constexpr std::string_view kEnvironmentPrefix = "TAYGA_";

enum class Source : std::uint8_t { file, environment, flag };  // a later one wins

std::string join(std::string_view path, std::string_view key) {
  if (path.empty()) return std::string{key};
  return std::string{path} + "." + std::string{key};
}

std::string at(Place place) {
  return " at line " + std::to_string(place.line) + ", column " + std::to_string(place.column);
}

/// "stream[0].options" -> "[stream.options]", "stream[0]" -> "[[stream]]".
std::string header_of(std::string_view path) {
  std::string plain;
  bool inside = false;
  for (const char c : path) {
    if (c == '[') inside = true;
    if (!inside) plain += c;
    if (c == ']') inside = false;
  }
  return path.ends_with(']') ? "[[" + plain + "]]" : "[" + plain + "]";
}

std::string list_of(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "'" : ", '") + word + "'";
  return out;
}

}  // namespace

struct Section::Found {
  Source source;
  std::string text;            // of a flag or variable
  const Node* node = nullptr;  // of the file
};

struct Reader::Impl {
  struct Problem {
    Place place;  // 0, 0: not of the file
    std::string text;
  };
  /// One line of print().
  struct Shown {
    std::string key;
    std::string line;
  };
  /// What the program declared of one table.
  struct Declared {
    std::vector<std::string> keys;
    std::vector<std::string> sections;
    std::vector<std::string> lists;
    std::vector<Shown> shown;
  };

  Impl(Inputs in, ReadSecretFile read)
      : inputs{std::move(in)},
        read_secret{std::move(read)},
        document{parse_document(inputs.file_text)} {}

  Declared& declared_of(const std::string& path) {
    if (!declared.contains(path)) order.push_back(path);
    return declared[path];
  }
  void add_problem(const Node* node, std::string text) {
    problems.push_back(Problem{node != nullptr ? node->place : Place{}, std::move(text)});
  }
  void check_table(const Node::Table& table, const std::string& path);
  void check_entry(const Entry& entry, const std::string& path, const Declared& known);
  void report_unknown(const Entry& entry, const std::string& path, const Declared& known);
  void check_flags();
  void check_environment();
  [[nodiscard]] std::vector<std::string> all_keys() const;
  [[nodiscard]] std::string secret_path(const std::string& path, Source source) const;

  const Inputs inputs;
  const ReadSecretFile read_secret;
  const Document document;
  std::map<std::string, Declared> declared;  // by path
  std::vector<std::string> order;            // of the paths
  std::set<std::string> overridable;         // full keys that flags and variables may set
  std::vector<Problem> problems;
  std::vector<std::string> warnings;
};

// Section

std::string Section::full_key(std::string_view key) const {
  return join(path_, key);
}

std::optional<Section::Found> Section::look_up(std::string_view key) const {
  const Inputs& inputs = reader_->impl_->inputs;
  const std::string full = full_key(key);
  if (overrides_ == Overrides::allowed) {
    if (const auto flag = inputs.flags.find(full); flag != inputs.flags.end()) {
      return Found{Source::flag, flag->second, nullptr};
    }
    const auto variable = inputs.environment.find(environment_name(full));
    if (variable != inputs.environment.end()) {
      return Found{Source::environment, variable->second, nullptr};
    }
  }
  if (table_ == nullptr) return std::nullopt;
  const Entry* const entry = find(*table_, key);
  if (entry == nullptr) return std::nullopt;
  return Found{Source::file, {}, &entry->node};
}

std::string Section::place_of(std::string_view key, const Found& found) const {
  const std::string full = full_key(key);
  switch (found.source) {
    case Source::file:
      return reader_->impl_->inputs.file_name + ": " + full + at(found.node->place);
    case Source::environment:
      return "environment variable " + environment_name(full);
    case Source::flag:
      return "flag " + full;
  }
  return full;
}

void Section::declare(std::string_view key, std::string shown, const std::optional<Found>& found) {
  Reader::Impl& impl = *reader_->impl_;
  Reader::Impl::Declared& declared = impl.declared_of(path_);
  if (std::ranges::find(declared.keys, key) != declared.keys.end()) return;
  declared.keys.emplace_back(key);
  if (overrides_ == Overrides::allowed) impl.overridable.insert(full_key(key));
  std::string source = "default";
  if (found) {
    switch (found->source) {
      case Source::file:
        source = impl.inputs.file_name + ", line " + std::to_string(found->node->place.line);
        break;
      case Source::environment:
        source = environment_name(full_key(key));
        break;
      case Source::flag:
        source = "flag";
        break;
    }
  }
  std::string line = shown.empty() ? "# " + std::string{key} + " is not set"
                                   : std::string{key} + " = " + shown + "  # " + source;
  declared.shown.push_back(Reader::Impl::Shown{std::string{key}, std::move(line)});
}

template <class As>
std::optional<typename As::Value> Section::get(std::string_view key, const As& as) {
  using Value = typename As::Value;
  const auto found = look_up(key);
  if (!found) return std::nullopt;
  const Converted<Value> converted =
      found->node != nullptr ? as.from(*found->node) : as.from(std::string_view{found->text});
  if (converted.index() == 0) {
    declare(key, As::to_toml(std::get<0>(converted)), found);
    return std::get<0>(converted);
  }
  const std::string shown = found->node != nullptr ? describe(*found->node) : quoted(found->text);
  reader_->impl_->add_problem(
      found->node, place_of(key, *found) + " is " + shown + "; " + std::get<1>(converted).text);
  return std::nullopt;
}

template <class As>
typename As::Value Section::get_or(std::string_view key, const As& as,
                                   typename As::Value fallback) {
  if (auto value = get(key, as)) return std::move(*value);
  declare(key, As::to_toml(fallback), std::nullopt);
  return fallback;
}

template <class As>
std::optional<typename As::Value> Section::get_optional(std::string_view key, const As& as) {
  auto value = get(key, as);
  if (!value) declare(key, {}, std::nullopt);
  return value;
}

std::string Section::string(std::string_view key, std::string fallback) {
  return get_or(key, AsString{}, std::move(fallback));
}

std::optional<std::string> Section::optional_string(std::string_view key) {
  return get_optional(key, AsString{});
}

std::string Section::required_string(std::string_view key, std::string_view hint) {
  if (!look_up(key)) {
    const std::string& file = reader_->impl_->inputs.file_name;
    reader_->impl_->add_problem(nullptr, (file.empty() ? "" : file + ": ") + full_key(key) +
                                             " is missing; " + std::string{hint});
  }
  return get_optional(key, AsString{}).value_or("");
}

std::string Section::choice(std::string_view key, std::string fallback,
                            std::vector<std::string> words) {
  const AsChoice as{std::move(words)};
  return get_or(key, as, std::move(fallback));
}

bool Section::boolean(std::string_view key, bool fallback) {
  return get_or(key, AsBool{}, fallback);
}

std::int64_t Section::integer(std::string_view key, std::int64_t fallback,
                              Range<std::int64_t> range) {
  return get_or(key, AsInteger{range}, fallback);
}

std::uint64_t Section::rate_bps(std::string_view key, std::uint64_t fallback,
                                Range<std::uint64_t> range) {
  return get_or(key, AsRate{range}, fallback);
}

std::optional<std::uint64_t> Section::optional_rate_bps(std::string_view key,
                                                        Range<std::uint64_t> range) {
  return get_optional(key, AsRate{range});
}

std::uint64_t Section::size_bytes(std::string_view key, std::uint64_t fallback,
                                  Range<std::uint64_t> range) {
  return get_or(key, AsSize{range}, fallback);
}

std::optional<std::uint64_t> Section::optional_size_bytes(std::string_view key,
                                                          Range<std::uint64_t> range) {
  return get_optional(key, AsSize{range});
}

Duration Section::duration(std::string_view key, Duration fallback, Range<Duration> range) {
  return get_or(key, AsDuration{range}, fallback);
}

std::vector<std::string> Section::strings(std::string_view key, std::vector<std::string> fallback) {
  return get_or(key, AsStrings{}, std::move(fallback));
}

Secret Section::secret(std::string_view key) {
  Reader::Impl& impl = *reader_->impl_;
  const std::string file_key = std::string{key} + "_file";
  const auto inline_value = look_up(key);
  const auto file = look_up(file_key);
  declare(key, inline_value ? "\"(hidden)\"" : "", inline_value);
  const auto path = get_optional(file_key, AsString{});
  if (inline_value && file && inline_value->source == file->source) {
    impl.add_problem(inline_value->node, place_of(key, *inline_value) + " and " + file_key +
                                             " are both set; keep one of them");
    return {};
  }
  const bool from_file = path && (!inline_value || file->source > inline_value->source);
  if (from_file) {
    SecretFile secret = impl.read_secret(impl.secret_path(*path, file->source));
    if (secret.problem.empty()) return Secret{std::move(secret.value)};
    impl.add_problem(file->node,
                     place_of(file_key, *file) + ": file " + quoted(*path) + " " + secret.problem);
    return {};
  }
  if (!inline_value) return {};
  if (inline_value->node == nullptr) return Secret{inline_value->text};
  if (const auto* text = std::get_if<std::string>(&inline_value->node->value)) return Secret{*text};
  impl.add_problem(inline_value->node,
                   place_of(key, *inline_value) + " is not a string; write it in double quotes");
  return {};
}

Section Section::section(std::string_view name) {
  Reader::Impl& impl = *reader_->impl_;
  impl.declared_of(path_).sections.emplace_back(name);
  std::string path = full_key(name);
  (void)impl.declared_of(path);
  const Entry* const entry = table_ != nullptr ? find(*table_, name) : nullptr;
  return Section{*reader_, std::move(path), entry != nullptr ? entry->node.table() : nullptr,
                 overrides_};
}

std::vector<Section> Section::tables(std::string_view name) {
  Reader::Impl& impl = *reader_->impl_;
  impl.declared_of(path_).lists.emplace_back(name);
  const Entry* const entry = table_ != nullptr ? find(*table_, name) : nullptr;
  std::vector<Section> out;
  if (entry == nullptr || entry->node.list() == nullptr) return out;
  for (const Node& item : *entry->node.list()) {
    if (item.table() == nullptr) continue;  // finish() reports it
    std::string path = full_key(name) + "[" + std::to_string(out.size()) + "]";
    (void)impl.declared_of(path);
    out.push_back(Section{*reader_, std::move(path), item.table(), Overrides::none});
  }
  return out;
}

bool Section::is_set(std::string_view key) const {
  return look_up(key).has_value();
}

void Section::reject(std::string_view key, std::string_view why) {
  const auto found = look_up(key);
  if (!found) {
    reader_->impl_->add_problem(nullptr, full_key(key) + " is not set; " + std::string{why});
    return;
  }
  const std::string shown = found->node != nullptr ? describe(*found->node) : quoted(found->text);
  reader_->impl_->add_problem(found->node,
                              place_of(key, *found) + " is " + shown + "; " + std::string{why});
}

// Reader

/// A relative path in the file is meant from the file, not from where the program was started.
std::string Reader::Impl::secret_path(const std::string& path, Source source) const {
  const auto slash = inputs.file_name.rfind('/');
  if (source != Source::file || path.starts_with('/') || slash == std::string::npos) return path;
  return inputs.file_name.substr(0, slash + 1) + path;
}

void Reader::Impl::report_unknown(const Entry& entry, const std::string& path,
                                  const Declared& known) {
  const bool is_table = entry.node.table() != nullptr;
  const bool is_list_of_tables = !is_table && entry.node.list() != nullptr &&
                                 !entry.node.list()->empty() &&
                                 entry.node.list()->front().table() != nullptr;
  const std::string full = join(path, entry.key);
  std::string text = inputs.file_name + ": ";
  std::vector<std::string> candidates = known.keys;
  if (is_table || is_list_of_tables) {
    text += "unknown section " + (is_table ? "[" + full + "]" : "[[" + full + "]]");
    candidates = known.sections;
    candidates.insert(candidates.end(), known.lists.begin(), known.lists.end());
  } else {
    text += "unknown key '" + entry.key + "'" + (path.empty() ? "" : " in " + header_of(path));
  }
  text += at(entry.key_place);
  if (const auto near = nearest_key(entry.key, candidates)) {
    text += "; did you mean '" + *near + "'?";
  } else if (!candidates.empty()) {
    text += "; known here: " + list_of(candidates);
  } else {
    text += "; remove it";
  }
  problems.push_back(Problem{entry.key_place, std::move(text)});
}

/// Recursion: as deep as the program's own sections.
void Reader::Impl::check_entry(const Entry& entry, const std::string& path, const Declared& known) {
  const auto has = [&](const std::vector<std::string>& names) {
    return std::ranges::find(names, entry.key) != names.end();
  };
  const std::string full = join(path, entry.key);
  if (has(known.keys)) return;
  if (has(known.sections)) {
    if (const Node::Table* table = entry.node.table()) return check_table(*table, full);
    return add_problem(&entry.node, inputs.file_name + ": " + full + at(entry.node.place) + " is " +
                                        describe(entry.node) + "; write it as a section: [" + full +
                                        "]");
  }
  if (!has(known.lists)) return report_unknown(entry, path, known);
  const Node::List* const list = entry.node.list();
  const auto is_table = [](const Node& item) { return item.table() != nullptr; };
  if (list == nullptr || !std::ranges::all_of(*list, is_table)) {
    return add_problem(&entry.node, inputs.file_name + ": " + full + at(entry.node.place) + " is " +
                                        describe(entry.node) + "; write a section [[" + full +
                                        "]] for each");
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    check_table(*(*list)[i].table(), full + "[" + std::to_string(i) + "]");
  }
}

void Reader::Impl::check_table(const Node::Table& table, const std::string& path) {
  const Declared known = declared[path];
  for (const Entry& entry : table) check_entry(entry, path, known);
}

std::vector<std::string> Reader::Impl::all_keys() const {
  return {overridable.begin(), overridable.end()};
}

void Reader::Impl::check_flags() {
  for (const auto& [name, value] : inputs.flags) {
    if (overridable.contains(name)) continue;
    const auto near = nearest_key(name, all_keys());
    add_problem(nullptr, "unknown flag " + name +
                             (near ? "; did you mean " + *near + "?" : "; it is no setting"));
  }
}

void Reader::Impl::check_environment() {
  std::vector<std::string> names;
  for (const std::string& key : overridable) names.push_back(environment_name(key));
  for (const auto& [name, value] : inputs.environment) {
    if (!name.starts_with(kEnvironmentPrefix) || std::ranges::find(names, name) != names.end()) {
      continue;
    }
    const auto near = nearest_key(name, names);
    warnings.push_back("environment variable " + name + " sets nothing" +
                       (near ? "; did you mean " + *near + "?" : ""));
  }
}

Reader::Reader(Inputs inputs, ReadSecretFile read_secret)
    : impl_{std::make_unique<Impl>(std::move(inputs), std::move(read_secret))} {}

Reader::~Reader() = default;

Section Reader::root() {
  (void)impl_->declared_of("");
  return Section{*this, "", &impl_->document.root, Section::Overrides::allowed};
}

std::vector<std::string> Reader::finish() {
  // Of a file that could not be read every key seems missing: only the cause is worth a line.
  if (!impl_->document.problem.empty()) {
    return {impl_->inputs.file_name + ": " + impl_->document.problem};
  }
  impl_->check_table(impl_->document.root, "");
  impl_->check_flags();
  impl_->check_environment();
  std::ranges::stable_sort(impl_->problems, [](const auto& a, const auto& b) {
    const auto position = [](Place p) { return std::pair{p.line, p.column}; };
    if ((a.place == Place{}) != (b.place == Place{})) return b.place == Place{};
    return position(a.place) < position(b.place);
  });
  std::vector<std::string> out;
  for (const Impl::Problem& problem : impl_->problems) out.push_back(problem.text);
  return out;
}

const std::vector<std::string>& Reader::warnings() const noexcept {
  return impl_->warnings;
}

std::string Reader::print() const {
  std::string out;
  const auto append = [&](const std::string& path) {
    const auto found = impl_->declared.find(path);
    if (found == impl_->declared.end() || found->second.shown.empty()) return;
    if (!path.empty()) out += (out.empty() ? "" : "\n") + header_of(path) + "\n";
    for (const Impl::Shown& shown : found->second.shown) out += shown.line + "\n";
  };
  append("");  // keys of the root must stand before the first section
  for (const std::string& path : impl_->order) {
    if (!path.empty()) append(path);
  }
  return out;
}

std::string environment_name(std::string_view full_key) {
  std::string out{kEnvironmentPrefix};
  for (const char c : full_key) {
    const bool kept = std::isalnum(static_cast<unsigned char>(c)) != 0;
    out += kept ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : '_';
  }
  return out;
}

}  // namespace tayga::config
