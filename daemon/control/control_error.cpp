#include "daemon/control/control_error.hpp"

#include <string>

namespace tayga::control {

namespace {

class ControlCategory final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "tayga.control"; }
  std::string message(int value) const override {
    switch (static_cast<ControlErrc>(value)) {
      case ControlErrc::message_too_large:
        return "control message is too large";
      case ControlErrc::malformed:
        return "control message is not valid protobuf";
      case ControlErrc::too_many_parts:
        return "control message has too many elements";
      case ControlErrc::unknown_message:
        return "control message of an unknown kind";
      case ControlErrc::bad_size:
        return "a field of a control message has the wrong size";
      case ControlErrc::bad_value:
        return "a field of a control message is out of range";
    }
    return "unknown control error";
  }
};

}  // namespace

const boost::system::error_category& control_category() noexcept {
  static const ControlCategory category;
  return category;
}

}  // namespace tayga::control
