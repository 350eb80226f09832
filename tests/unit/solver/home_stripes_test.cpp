#include "orchestrator/solver/home_stripes.hpp"

#include "tests/support/catch.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace tayga::orch {
namespace {

TEST_CASE("with one stripe everybody's home is it") {
  const std::array candidates{HomeCandidate{0, 77, 3, HomeCandidate::kNoHome},
                              HomeCandidate{1, 5, 0, HomeCandidate::kNoHome}};
  CHECK(choose_homes(candidates, 1) == std::vector<std::uint32_t>{0, 0});
}

TEST_CASE("homes spread the room over the stripes even when every hash is the same") {
  std::vector<HomeCandidate> candidates;
  for (NodeIndex node = 0; node < 40; ++node) {
    candidates.push_back(HomeCandidate{node, 0, 1 + node % 5, HomeCandidate::kNoHome});
  }
  std::array<std::uint32_t, 4> room{};
  const auto homes = choose_homes(candidates, 4);
  for (std::size_t i = 0; i < homes.size(); ++i) room.at(homes[i]) += candidates[i].slots;
  CHECK(*std::max_element(room.begin(), room.end()) - *std::min_element(room.begin(), room.end()) <=
        1);
}

TEST_CASE("a home in use stays until its stripe has more than twice the room of another") {
  std::vector<HomeCandidate> candidates{HomeCandidate{0, 1, 4, 2}, HomeCandidate{1, 1, 4, 2}};
  CHECK(choose_homes(candidates, 4) == std::vector<std::uint32_t>{2, 2});
  candidates.push_back(HomeCandidate{2, 0, 4, 2});
  CHECK(choose_homes(candidates, 4) == std::vector<std::uint32_t>{2, 2, 0});
}

TEST_CASE("choosing again with the chosen homes in use changes nothing") {
  std::vector<HomeCandidate> candidates;
  for (NodeIndex node = 0; node < 30; ++node) {
    candidates.push_back(HomeCandidate{node, node * 7919ULL, node % 4, HomeCandidate::kNoHome});
  }
  const auto first = choose_homes(candidates, 4);
  for (std::size_t i = 0; i < candidates.size(); i += 2) candidates[i].current_home = first[i];
  CHECK(choose_homes(candidates, 4) == first);
}

}  // namespace
}  // namespace tayga::orch
