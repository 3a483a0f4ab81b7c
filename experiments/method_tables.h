#pragma once

#include "table.h"

#include <optional>
#include <string>
#include <vector>

namespace lathe::experiments {

/// A model optimised in one way and deployed or run by one method, as the table of methods has it.
struct MethodResult {
  std::string optimisation;  ///< none, prune, quantize, cluster, cluster_qat, ...
  std::string method;        ///< checkpoint, fp32, fp16, dynamic, uint8, int16x8
  std::optional<double> accuracy, total_ms, bytes;
};

/// A row for each optimisation, a column for each method: "97.50 / 302.0 / 266.47", accuracy in percent, time
/// of the whole test set in ms, KB of 1,024 bytes. A dash: not measured.
Table method_table(const std::vector<MethodResult>& results);

/// Ours beside the published figures, a row for each optimisation and method that both have. What is less
/// accurate or larger is named in `behind`. Times stand side by side: the published machine is not known.
Table published_method_table(const std::vector<MethodResult>& results, std::vector<std::string>& behind);

}  // namespace lathe::experiments
