#include "kernels/simd/simd.h"
#include "tensor_impl.h"
#include "trace_hook.h"

#include <lathe/base/parallel.h>
#include <lathe/core/autograd.h>
#include <lathe/core/trace.h>

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <unordered_map>
#include <utility>

namespace lathe {
namespace {

thread_local bool recording = true;

using GradientPtr = std::shared_ptr<Tensor::Gradient>;

/// sum += term, f32 of one shape.
void add_in_place(Tensor& sum, const Tensor& term) {
  float* to = sum.mutable_span<float>().data();
  const float* from = term.span<float>().data();
  parallel_for(sum.size(), 8192, [&](std::int64_t begin, std::int64_t end) {
    kernels::simd::simd().elementwise.accumulate(from + begin, to + begin, end - begin);
  });
}

/// Adds `term` to `sum`, changing elements in place only where no other handle can see it. Afterwards `sum`
/// may share its elements with other handles (a gradient that an op returned for two of its inputs).
void accumulate(Tensor& sum, Tensor term) {
  if (!sum) {
    sum = std::move(term);
  } else if (TensorAccess::unique(sum)) {
    add_in_place(sum, term);
  } else if (TensorAccess::unique(term)) {
    add_in_place(term, sum);  // commutative, so the same bits
    sum = std::move(term);
  } else {
    Tensor copy = sum.clone();
    add_in_place(copy, term);
    sum = std::move(copy);
  }
}

/// The same for a leaf, whose gradient is afterwards its own: an optimiser may change it in place.
void accumulate_leaf(Tensor::Gradient& leaf, Tensor term) {
  if (!leaf.requires_grad) return;  // switched off after it was recorded
  accumulate(leaf.grad, std::move(term));
  if (!TensorAccess::unique(leaf.grad)) leaf.grad = leaf.grad.clone();
}

/// The part of the tape behind a tensor, in an order in which every node comes before the nodes that compute
/// its inputs.
class Tape {
 public:
  explicit Tape(const GradientPtr& root) {
    // Depth-first with an explicit stack; a node is finished after everything behind it.
    std::vector<std::pair<GradientPtr, std::size_t>> stack;
    const auto visit = [&](const GradientPtr& gradient) {
      if (!gradient || !gradient->node || !index_.emplace(gradient.get(), 0).second) return;
      check(gradient->node->backward != nullptr,
            "backward: the tape before {} was released by an earlier backward(); compute the result again to "
            "differentiate it again",
            graph::name(gradient->node->op));
      stack.emplace_back(gradient, 0);
    };
    visit(root);
    while (!stack.empty()) {
      auto& [gradient, next] = stack.back();
      const auto& inputs = gradient->node->inputs;
      if (next < inputs.size()) {
        visit(inputs[next++]);  // may move the stack: the references above are not used after this
        continue;
      }
      index_[gradient.get()] = steps_.size();
      steps_.push_back({std::move(gradient), {}});
      stack.pop_back();
    }
  }

  void run(Tensor grad) {
    steps_.back().grad = std::move(grad);
    while (!steps_.empty()) {
      Step step = std::move(steps_.back());
      steps_.pop_back();
      Node& node = *step.gradient->node;
      Grads grads;
      if (step.grad) {
        grads = node.backward(node, step.grad);
        assert(grads.size() == node.inputs.size());
        step.grad = {};
      }
      const std::vector<GradientPtr> inputs = release(node);
      for (std::size_t i = 0; i < grads.size(); ++i)
        if (grads[i] && inputs[i]) give(*inputs[i], std::exchange(grads[i], {}), node, i);
    }
  }

 private:
  struct Step {
    GradientPtr gradient;
    Tensor grad;  ///< of the node's output, as far as it is summed
  };

  /// Frees what the node holds and marks it as used up. Returns its inputs.
  static std::vector<GradientPtr> release(Node& node) {
    node.backward = nullptr;
    node.saved = {};
    return std::exchange(node.inputs, {});
  }

  void give(Tensor::Gradient& to, Tensor grad, const Node& node, std::size_t input) {
    check(grad.dtype() == Dtype::f32 && grad.shape() == node.input_shapes[input],
          "backward of {}: the gradient of input {} is {}{}, the input was {}", graph::name(node.op), input,
          to_string(grad.dtype()), to_string(grad.shape()), to_string(node.input_shapes[input]));
    if (to.node)
      accumulate(steps_[index_.at(&to)].grad, std::move(grad));
    else
      accumulate_leaf(to, std::move(grad));
  }

  std::unordered_map<const Tensor::Gradient*, std::size_t> index_;  ///< into steps_
  std::vector<Step> steps_;
};

}  // namespace

Node::~Node() {
  // A gradient reached last frees its node, whose inputs join the list instead of being freed by a nested
  // call.
  std::vector<GradientPtr> pending;
  const auto take_inputs = [&pending](Node& node) {
    for (GradientPtr& input : node.inputs)
      if (input && input->node) pending.push_back(std::move(input));
  };
  take_inputs(*this);
  while (!pending.empty()) {
    GradientPtr gradient = std::move(pending.back());
    pending.pop_back();
    if (gradient.use_count() > 1) continue;
    const std::shared_ptr<Node> node = std::move(gradient->node);
    if (node && node.use_count() == 1) take_inputs(*node);
  }
}

bool grad_enabled() { return recording; }

NoGrad::NoGrad() : before_(std::exchange(recording, false)) {}
NoGrad::~NoGrad() { recording = before_; }

bool needs_grad(std::initializer_list<const Tensor*> inputs) {
  return recording &&
         std::ranges::any_of(inputs, [](const Tensor* tensor) { return tensor->requires_grad(); });
}

Tensor record(graph::Op op, std::span<const Tensor> inputs, Tensor output, std::vector<Tensor> saved,
              Backward backward) {
  // An op that hands an input on: its result is a tensor of its own all the same.
  if (output.gradient() || (TraceScope::active() && std::ranges::any_of(inputs, [&](const Tensor& input) {
                              return input.is(output);
                            })))
    output = output.detach();
  if (TraceScope::active()) trace_op(op, inputs, output);
  if (!recording || std::ranges::none_of(inputs, &Tensor::requires_grad)) return output;
  assert(backward != nullptr);
  auto node = std::make_shared<Node>();
  node->op = std::move(op);
  node->backward = backward;
  node->output_shape = output.shape();
  node->inputs.reserve(inputs.size());
  node->input_shapes.reserve(inputs.size());
  for (const Tensor& input : inputs) {
    node->inputs.push_back(input.requires_grad() ? input.gradient() : nullptr);
    node->input_shapes.push_back(input ? input.shape() : Shape());
  }
  // Saved without their own history: a node must not keep the nodes before it alive in a second way, nor
  // itself.
  for (Tensor& tensor : saved)
    if (tensor && (tensor.is(output) || tensor.gradient())) tensor = tensor.detach();
  node->saved = std::move(saved);
  auto gradient = std::make_shared<Tensor::Gradient>();
  gradient->requires_grad = true;
  gradient->node = std::move(node);
  TensorAccess::set_gradient(output, std::move(gradient));
  return output;
}

void Tensor::backward() const {
  check(impl_ != nullptr, "backward: the tensor is an empty handle");
  check(size() == 1,
        "backward: expected a scalar, given shape {}; pass the gradient of the loss for other shapes",
        to_string(shape()));
  backward(full(shape(), 1));
}

void Tensor::backward(const Tensor& grad) const {
  check(requires_grad(), "backward: nothing that this tensor was computed from requires a gradient ({})",
        impl_ ? to_string(shape()) : "an empty handle");
  check(grad && grad.dtype() == Dtype::f32 && grad.shape() == shape(),
        "backward: the given gradient is {}, the tensor is f32{}",
        grad ? fmt::format("{}{}", to_string(grad.dtype()), to_string(grad.shape())) : "empty",
        to_string(shape()));
  const NoGrad no_grad;
  if (gradient()->node)
    Tape(gradient()).run(grad);
  else
    accumulate_leaf(*gradient(), grad);
}

}  // namespace lathe
