#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tayga::http {

struct Header {
  std::string name;
  std::string value;
  friend bool operator==(const Header&, const Header&) = default;
};

/// ASCII only, as field names are.
bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept;

/// The fields of a message in their order. Names are compared without case.
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<Header> list) : list_{list} {}

  void add(std::string name, std::string value);
  /// Replaces every field of that name by one.
  void set(std::string name, std::string value);

  /// The first field of that name.
  [[nodiscard]] std::optional<std::string_view> get(std::string_view name) const noexcept;
  [[nodiscard]] bool contains(std::string_view name) const noexcept;
  [[nodiscard]] std::size_t count(std::string_view name) const noexcept;

  [[nodiscard]] auto begin() const noexcept { return list_.begin(); }
  [[nodiscard]] auto end() const noexcept { return list_.end(); }
  [[nodiscard]] std::size_t size() const noexcept { return list_.size(); }

  friend bool operator==(const Headers&, const Headers&) = default;

 private:
  std::vector<Header> list_;
};

/// The token of `Authorization: Bearer TOKEN`; nullopt when there is none or it is malformed.
/// Compare it in constant time.
std::optional<std::string_view> bearer_token(const Headers& headers) noexcept;

}  // namespace tayga::http
