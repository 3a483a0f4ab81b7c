#include "rewrite.h"

#include <lathe/base/error.h>
#include <lathe/compress/passes.h>

#include <array>
#include <limits>

namespace lathe::compress {
namespace {

using graph::Node;
using graph::Padding;
using graph::Window;

/// The walk of a convolution's window along one axis.
struct Axis {
  std::int64_t in = 0, kernel = 0, stride = 0;
  Window wanted;  ///< with the pad's zeros among those before the input
};

bool gives(const Axis& axis, Padding padding) {
  try {
    const Window window = graph::slide("conv2d", axis.in, axis.kernel, axis.stride, padding);
    // What lies behind the input is zero in either case: only the first place and the number of places
    // matter.
    return window.out == axis.wanted.out && window.before == axis.wanted.before;
  } catch (const Error&) {
    return false;  // the kernel does not fit without the pad
  }
}

Axis axis_of(std::int64_t in, std::int64_t kernel, std::int64_t stride, Padding padding, int before,
             int after) {
  Axis axis{.in = in, .kernel = kernel, .stride = stride};
  axis.wanted = graph::slide("conv2d", in + before + after, kernel, stride, padding);
  axis.wanted.before += before;
  return axis;
}

/// The padding that makes the convolution alone do what it does behind `pad`, if there is one.
std::optional<Padding> combined(const graph::Graph& graph, const Node& pad_node, const Node& conv_node) {
  const auto& pad = std::get<graph::Pad>(pad_node.op);
  const auto& conv = std::get<graph::Conv2d>(conv_node.op);
  const Shape& x = graph.value(pad_node.inputs[0]).shape;
  const Shape& weight = graph.value(conv_node.inputs[1]).shape;
  const Axis rows = axis_of(x[1], weight[1], conv.stride_h, conv.padding, pad.top, pad.bottom);
  const Axis columns = axis_of(x[2], weight[2], conv.stride_w, conv.padding, pad.left, pad.right);
  std::array candidates{Padding::valid(), Padding::same(), Padding::same()};
  if (rows.wanted.before <= std::numeric_limits<int>::max())
    candidates[2] = Padding::symmetric(static_cast<int>(rows.wanted.before));
  for (Padding candidate : candidates)
    if (gives(rows, candidate) && gives(columns, candidate)) return candidate;
  return {};
}

/// The convolution that `pad` can go into and the padding it then has, or null.
const Node* fusable(const graph::Graph& graph, const Uses& uses, const Node& pad, Padding& padding) {
  if (!std::holds_alternative<graph::Pad>(pad.op)) return nullptr;
  const Node* reader = uses.only_reader(pad.output);
  if (reader == nullptr || !std::holds_alternative<graph::Conv2d>(reader->op) ||
      reader->inputs[0] != pad.output)
    return nullptr;
  const auto found = combined(graph, pad, *reader);
  if (!found) return nullptr;
  padding = *found;
  return reader;
}

}  // namespace

graph::Graph fuse_padding(const graph::Graph& graph) {
  const Uses uses(graph);
  Rewriter rewriter(graph);
  for (const Node& node : graph.nodes()) {
    Padding padding;
    if (fusable(graph, uses, node, padding) != nullptr) continue;  // goes into its reader
    const Node* pad =
        std::holds_alternative<graph::Conv2d>(node.op) ? uses.producer(node.inputs[0]) : nullptr;
    if (pad == nullptr || fusable(graph, uses, *pad, padding) != &node) {
      rewriter.copy(node);
      continue;
    }
    graph::Conv2d op = std::get<graph::Conv2d>(node.op);
    op.padding = padding;
    std::vector<graph::ValueId> inputs{rewriter.map(pad->inputs[0])};
    for (std::size_t i = 1; i < node.inputs.size(); ++i) inputs.push_back(rewriter.map(node.inputs[i]));
    rewriter.put(node, op, std::move(inputs), node.name);
  }
  return rewriter.finish();
}

}  // namespace lathe::compress
