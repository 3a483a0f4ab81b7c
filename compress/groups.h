#pragma once

#include "integer_nodes.h"

#include <numeric>
#include <optional>
#include <utility>
#include <vector>

/// Which values of a graph have the same scale and zero point.
namespace lathe::compress {

/// Sets of values that share their parameters.
class Groups {
 public:
  explicit Groups(std::size_t values) : parents_(values) { std::iota(parents_.begin(), parents_.end(), 0); }

  std::size_t find(graph::ValueId id) {
    graph::ValueId& parent = parents_[static_cast<std::size_t>(id)];
    while (parent != parents_[static_cast<std::size_t>(parent)])
      parent = parents_[static_cast<std::size_t>(parent)];
    return static_cast<std::size_t>(parent);
  }
  void join(graph::ValueId a, graph::ValueId b) {
    const auto from = find(a), to = find(b);
    parents_[from] = static_cast<graph::ValueId>(to);
  }

 private:
  std::vector<graph::ValueId> parents_;
};

struct Sharing {
  Groups groups;
  std::vector<std::optional<graph::Quantization>> fixed;  ///< by group: parameters that no range can change
};

/// Ops that hand numbers on (pooling, reshape, concat, pad) share the parameters of their inputs; the parts
/// of a concatenation do, but for those that are fixed to others. `inputs`: fixed parameters of the graph's
/// inputs. Nodes with a reason to stay float join nothing. `bits` of the activations: 8 or 16.
Sharing share_parameters(const graph::Graph& graph, const Reasons& stay_float,
                         const std::optional<graph::Quantization>& inputs, int bits);

}  // namespace lathe::compress
