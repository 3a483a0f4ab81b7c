#include "detail.h"

#include "measure.h"

#include <lathe/graph/model_file.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace lathe::experiments {

nlohmann::ordered_json layer_details(runtime::Plan& plan, std::int64_t runs,
                                     std::span<const std::byte> file) {
  // Constants are named after the node that reads them: "conv1.weight" belongs to "conv1".
  std::map<std::string, std::uint64_t> bytes;
  for (const graph::SizeEntry& entry : graph::size_breakdown(file, "model"))
    bytes[entry.name.substr(0, entry.name.rfind('.'))] += entry.bytes;
  const std::vector<double> nanoseconds = measure_steps(plan, runs);
  auto rows = nlohmann::ordered_json::array();
  std::uint64_t known = 0;
  for (std::size_t i = 0; i < nanoseconds.size(); ++i) {
    const runtime::StepInfo& step = plan.steps()[i];
    const auto own = step.name.empty() ? bytes.end() : bytes.find(step.name);
    const std::uint64_t size = own == bytes.end() ? 0 : own->second;
    if (own != bytes.end()) bytes.erase(own);  // counted once where several steps read a constant
    known += size;
    rows.push_back({{"name", step.name},
                    {"op", step.op},
                    {"kernel", step.kernel},
                    {"us", nanoseconds[i] / 1000},
                    {"bytes", size}});
  }
  rows.push_back({{"name", "(file)"}, {"op", ""}, {"kernel", ""}, {"us", 0}, {"bytes", file.size() - known}});
  return rows;
}

nlohmann::ordered_json confusion_matrix(std::span<const std::int32_t> predictions,
                                        const datasets::Dataset& dataset) {
  std::size_t classes = dataset.classes().size();
  for (std::int32_t prediction : predictions)
    classes = std::max(classes, static_cast<std::size_t>(prediction) + 1);
  if (classes > 100) return nullptr;
  std::vector<std::vector<std::int64_t>> matrix(classes, std::vector<std::int64_t>(classes));
  for (std::size_t i = 0; i < predictions.size(); ++i)
    ++matrix[static_cast<std::size_t>(dataset.label(static_cast<std::int64_t>(i)))]
            [static_cast<std::size_t>(predictions[i])];
  return matrix;
}

}  // namespace lathe::experiments
