#pragma once

#include "update.h"

#include <span>

namespace lathe::optim::kernels {

/// The tables that this processor can run, the best one last.
std::span<const Table* const> available();

/// The best one.
inline const Table& best() { return *available().back(); }

}  // namespace lathe::optim::kernels
