#include "tests/fuzz/fuzz.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <vector>

// Stands in for libFuzzer where there is no clang: runs every file of a corpus folder and a
// bounded, repeatable number of mutations of each. usage: NAME_fuzz CORPUS_FOLDER
// [MUTATIONS_PER_FILE]

extern "C" void __sanitizer_set_death_callback(void (*)()) __attribute__((weak));
// GCC keeps UBSan in a library of its own, which knows no death callback: let it abort instead.
extern "C" const char* __ubsan_default_options() {
  return "abort_on_error=1:print_stacktrace=1";
}

namespace {

using Input = std::vector<std::uint8_t>;

constexpr unsigned kMutationsPerFile = 2000;
constexpr std::size_t kInputSizeMax = 1 << 20;
constexpr std::size_t kPrintedSizeMax = 4096;

// The input that runs now, for the report of a crash; the program has one thread.
const char* current_file = "";
unsigned current_mutation = 0;
const Input* current_input = nullptr;

void print_current_input() {
  if (current_input == nullptr) return;
  std::fprintf(stderr, "\nfailing input: %s, mutation %u, %zu bytes:\n", current_file,
               current_mutation, current_input->size());
  const std::size_t size = std::min(current_input->size(), kPrintedSizeMax);
  for (std::size_t i = 0; i < size; ++i) std::fprintf(stderr, "%02x", (*current_input)[i]);
  std::fputs(size < current_input->size() ? "...\n" : "\n", stderr);
}

void on_abort(int) {
  print_current_input();
  std::signal(SIGABRT, SIG_DFL);
  std::abort();
}

void run(const Input& input) {
  current_input = &input;
  LLVMFuzzerTestOneInput(input.data(), input.size());
  current_input = nullptr;
}

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : engine_{seed} {}

  /// One to four random edits; `other` is where foreign pieces come from.
  Input mutate(Input input, const Input& other) {
    const std::size_t edits = below(4) + 1;
    for (std::size_t i = 0; i < edits; ++i) edit(input, other);
    return input;
  }

 private:
  std::size_t below(std::size_t count) { return count == 0 ? 0 : engine_() % count; }
  std::uint8_t byte() { return static_cast<std::uint8_t>(engine_()); }
  static Input::iterator at(Input& input, std::size_t index) {
    return input.begin() + static_cast<std::ptrdiff_t>(index);
  }

  void edit(Input& input, const Input& other) {
    if (input.empty()) {
      input.push_back(byte());
      return;
    }
    switch (below(7)) {
      case 0:
        input[below(input.size())] ^= static_cast<std::uint8_t>(1U << below(8));
        return;
      case 1:
        input[below(input.size())] = byte();
        return;
      case 2:
        input[below(input.size())] = kEdgeBytes[below(kEdgeBytes.size())];
        return;
      case 3:
        input.resize(below(input.size()));
        return;
      case 4:
        input.insert(at(input, below(input.size())), below(16) + 1, byte());
        return;
      case 5: {  // remove a piece
        const std::size_t begin = below(input.size());
        const std::size_t size = std::min(below(16) + 1, input.size() - begin);
        input.erase(at(input, begin), at(input, begin + size));
        return;
      }
      case 6: {  // overwrite with a piece of another input
        if (other.empty()) return;
        const std::size_t from = below(other.size());
        const std::size_t to = below(input.size());
        const std::size_t size = std::min({below(64) + 1, other.size() - from, input.size() - to});
        std::copy_n(other.begin() + static_cast<std::ptrdiff_t>(from), size, at(input, to));
        return;
      }
    }
  }

  static constexpr std::array<std::uint8_t, 6> kEdgeBytes{0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff};
  std::mt19937_64 engine_;
};

struct Seed {
  std::string name;
  Input bytes;
};

/// Sorted by name, so that a run is the same on every file system.
std::vector<Seed> read_corpus(const std::filesystem::path& folder) {
  std::vector<Seed> seeds;
  std::error_code ec;
  for (const auto& entry : std::filesystem::directory_iterator{folder, ec}) {
    if (!entry.is_regular_file()) continue;
    std::ifstream in{entry.path(), std::ios::binary};
    Input bytes{std::istreambuf_iterator<char>{in}, {}};
    if (bytes.size() <= kInputSizeMax) {
      seeds.push_back(Seed{entry.path().filename().string(), std::move(bytes)});
    }
  }
  std::ranges::sort(seeds, {}, &Seed::name);
  return seeds;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s CORPUS_FOLDER [MUTATIONS_PER_FILE]\n", argv[0]);
    return 64;
  }
  const std::vector<Seed> seeds = read_corpus(argv[1]);
  if (seeds.empty()) {
    std::fprintf(stderr, "no seed files in %s: each fuzz target has some\n", argv[1]);
    return 1;
  }
  const unsigned long mutations = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : kMutationsPerFile;
  std::signal(SIGABRT, on_abort);
  if (__sanitizer_set_death_callback != nullptr) {
    __sanitizer_set_death_callback(print_current_input);
  }
  run({});
  for (std::size_t i = 0; i < seeds.size(); ++i) {
    current_file = seeds[i].name.c_str();
    current_mutation = 0;
    run(seeds[i].bytes);
    Mutator mutator{i};
    for (unsigned m = 1; m <= mutations; ++m) {
      current_mutation = m;
      run(mutator.mutate(seeds[i].bytes, seeds[m % seeds.size()].bytes));
    }
  }
  std::printf("%zu seed files, %lu mutations of each\n", seeds.size(), mutations);
  return 0;
}
