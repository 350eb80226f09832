#include "common/admin/errors.hpp"

#include <string>

namespace tayga::admin {
namespace {

const char* text_of(AdminErrc code) noexcept {
  switch (code) {
    case AdminErrc::not_running:
      return "the daemon is not running";
    case AdminErrc::permission_denied:
      return "no permission to use the control socket";
    case AdminErrc::timeout:
      return "the daemon did not answer in time";
    case AdminErrc::protocol:
      return "the answer is not of this protocol";
    case AdminErrc::already_running:
      return "another daemon already answers on this control socket";
    case AdminErrc::unsafe_folder:
      return "others may write to the folder of the control socket";
    case AdminErrc::bad_path:
      return "the path cannot hold a control socket";
  }
  return "unknown control error";
}

class AdminCategory final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "tayga.admin"; }
  std::string message(int value) const override { return text_of(static_cast<AdminErrc>(value)); }
};

constexpr int kExitNotRunning = 3;
constexpr int kExitUnavailable = 69;
constexpr int kExitTryAgain = 75;
constexpr int kExitNoPermission = 77;

}  // namespace

const boost::system::error_category& admin_category() noexcept {
  static const AdminCategory category;
  return category;
}

error_code make_error_code(AdminErrc code) noexcept {
  return {static_cast<int>(code), admin_category()};
}

int exit_code(const error_code& error) noexcept {
  if (error == make_error_code(AdminErrc::not_running)) return kExitNotRunning;
  if (error == make_error_code(AdminErrc::permission_denied)) return kExitNoPermission;
  if (error == make_error_code(AdminErrc::timeout)) return kExitTryAgain;
  return kExitUnavailable;
}

}  // namespace tayga::admin
