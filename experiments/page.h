#pragma once

#include <string_view>

namespace lathe::experiments {

/// What every page carries: its looks and what it does. Without the script it reads the same; tables then do
/// not sort.
extern const std::string_view kPageStyle;
extern const std::string_view kPageScript;

}  // namespace lathe::experiments
