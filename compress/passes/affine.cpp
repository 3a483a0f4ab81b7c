#include "affine.h"

#include <cmath>

namespace lathe::compress {

Affine affine(const graph::Graph& graph, const graph::Node& norm) {
  const auto& op = std::get<graph::BatchNorm>(norm.op);
  const auto gamma = graph.value(norm.inputs[1]).elements<float>(),
             beta = graph.value(norm.inputs[2]).elements<float>();
  const auto mean = graph.value(norm.inputs[3]).elements<float>();
  const auto variance = graph.value(norm.inputs[4]).elements<float>();
  Affine result;
  for (std::size_t c = 0; c < gamma.size(); ++c) {
    const double deviation = std::sqrt(static_cast<double>(variance[c]) + static_cast<double>(op.epsilon));
    result.scale.push_back(static_cast<double>(gamma[c]) / deviation);
    result.shift.push_back(static_cast<double>(beta[c]) - static_cast<double>(mean[c]) * result.scale.back());
  }
  return result;
}

}  // namespace lathe::compress
