#pragma once

// One spelling for both Catch2 major versions: Debian 12 ships 2.13, Debian 13 ships 3.
#ifdef TAYGA_CATCH2_V3
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif

#include "common/base/result.hpp"

#include <string>

/// A failed check on a Result shows its error; the value may have no text form.
template <class T, class E>
struct Catch::StringMaker<boost::system::result<T, E>> {
  static std::string convert(const boost::system::result<T, E>& result) {
    if (result) return "a value";
    if constexpr (requires { result.error().message(); }) {
      return "error: " + result.error().message();
    } else {
      return "an error";  // of a parser with its own error type
    }
  }
};

namespace tayga::test {

/// Matches a text that has `part` somewhere in it: CHECK_THAT(text, contains("part")).
inline auto contains(const std::string& part) {
#ifdef TAYGA_CATCH2_V3
  return Catch::Matchers::ContainsSubstring(part);
#else
  return Catch::Matchers::Contains(part);
#endif
}

}  // namespace tayga::test
