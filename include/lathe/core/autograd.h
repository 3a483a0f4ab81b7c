#pragma once

#include <lathe/core/tensor.h>
#include <lathe/graph/op.h>

#include <array>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

/// The tape. An operation computes its output and calls record(); backward() walks the nodes from the loss to the leaves.
/// Only users who write an operation of their own need this header; docs/add-an-op.md shows how.
namespace lathe {

/// Gradients in the order of a node's inputs; an empty Tensor where none is needed.
using Grads = std::vector<Tensor>;

/// Computes the gradients of a node's inputs from the gradient of its output. Uses node.op, node.saved and
/// node.input_shapes only, and never touches grad() of any tensor.
using Backward = Grads (*)(const Node& node, const Tensor& grad);

/// What autograd knows of one tensor. Tape nodes hold these, not tensors, so that an activation is freed as soon as no
/// backward function needs it.
struct Tensor::Gradient {
  bool requires_grad = false;
  Tensor grad;                 ///< leaves only
  std::shared_ptr<Node> node;  ///< what computed the tensor; null for leaves
};

/// One recorded operation.
struct Node {
  graph::Op op;
  std::vector<std::shared_ptr<Tensor::Gradient>> inputs;  ///< null where no gradient is needed
  std::vector<Shape> input_shapes;
  std::vector<Tensor> saved;
  Backward backward = nullptr;
  Shape output_shape;

  bool needs(std::size_t input) const { return inputs[input] != nullptr; }

  Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  /// Frees what lies before it in a loop: a chain of any length is destroyed without recursion.
  ~Node();
};

/// True when operations on this thread are being recorded for backward().
bool grad_enabled();

/// Switches recording off on this thread while it lives.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};

/// Is a gradient wanted for any of these? What an operation asks before it saves anything.
bool needs_grad(std::initializer_list<const Tensor*> inputs);

/// Called by every operation at its end: puts the op on the tape when a gradient is wanted and shows it to a TraceScope when
/// one is active on this thread. Empty tensors among the inputs (an absent bias) are skipped by the trace and get no gradient.
/// Returns `output`.
Tensor record(graph::Op op, std::span<const Tensor> inputs, Tensor output, std::vector<Tensor> saved, Backward backward);

}  // namespace lathe
