#pragma once

#include <nlohmann/json.hpp>

namespace lathe::experiments {

/// Where and when something was measured: processor, cores, threads, kernel level, compiler, version, UTC
/// time.
nlohmann::ordered_json describe_machine(int training_threads);

}  // namespace lathe::experiments
