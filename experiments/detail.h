#pragma once

#include <lathe/datasets/dataset.h>
#include <lathe/runtime/plan.h>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace lathe::experiments {

/// [{"name", "op", "kernel", "us", "bytes"}]: a row for each step of a plan, its median microseconds over
/// `runs` runs and the bytes that its constants take in `file`, the content of the file the plan was made
/// from; last a row "(file)" for the bytes that belong to no step (header, graph).
nlohmann::ordered_json layer_details(runtime::Plan& plan, std::int64_t runs, std::span<const std::byte> file);

/// matrix[label][prediction]: how many images. Null for more than 100 classes.
nlohmann::ordered_json confusion_matrix(std::span<const std::int32_t> predictions,
                                        const datasets::Dataset& dataset);

}  // namespace lathe::experiments
