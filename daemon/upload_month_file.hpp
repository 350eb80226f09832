#pragma once

#include "daemon/core/upload_month.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <variant>

namespace tayga {

/// What went wrong with the file, in words, with the remedy.
struct UploadMonthError {
  std::string message;
};

/// `STATE_DIR/upload-month`: the month and the bytes that it counts, one line of text.
std::filesystem::path upload_month_path(const std::filesystem::path& state_dir);

/// nullopt: there is no file, nothing was ever counted. A damaged file is an error and not zero: it
/// would give a used-up month again.
std::variant<std::optional<relay::MonthRecord>, UploadMonthError> load_upload_month(
    const std::filesystem::path& path);

/// On disk, whole or not at all, when it returns. Blocks for as long as the disk takes.
std::optional<UploadMonthError> save_upload_month(const std::filesystem::path& path,
                                                  const relay::MonthRecord& record);

}  // namespace tayga
