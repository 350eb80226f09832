#pragma once

namespace tayga {

/// One callable of several, for std::visit.
template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;  // clang 14 needs it to be said

}  // namespace tayga
