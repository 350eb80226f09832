#include "orchestrator/store/store_error.hpp"

#include <string>

namespace tayga::orch {
namespace {

const char* describe(StoreErrc e) noexcept {
  switch (e) {
    case StoreErrc::locked:
      return "the store is open in another process";
    case StoreErrc::no_permission:
      return "no permission to use the store";
    case StoreErrc::no_space:
      return "no space left for the store";
    case StoreErrc::corrupt:
      return "the store is damaged";
    case StoreErrc::newer_version:
      return "the store was written by a later release";
    case StoreErrc::lost_commits:
      return "the store lost commits that were acknowledged";
    case StoreErrc::io:
      return "the store's disk failed";
  }
  return "unknown store error";
}

class StoreCategory final : public boost::system::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "tayga.store"; }
  [[nodiscard]] std::string message(int value) const override {
    return describe(static_cast<StoreErrc>(value));
  }
};

}  // namespace

const boost::system::error_category& store_category() noexcept {
  static const StoreCategory category;
  return category;
}

}  // namespace tayga::orch
