#include "tensor_impl.h"
#include "trace_hook.h"

#include <lathe/core/trace.h>

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

namespace lathe {
namespace {

/// The names of the open scopes joined by dots, and how long that was before each.
struct Path {
  std::string text;
  std::vector<std::size_t> lengths;
};

Path& path_of_thread() {
  thread_local Path path;
  return path;
}

thread_local TraceScope::State* current = nullptr;

}  // namespace

NameScope::NameScope(std::string_view name) {
  Path& path = path_of_thread();
  path.lengths.push_back(path.text.size());
  if (!path.text.empty() && !name.empty()) path.text += '.';
  path.text += name;
}

NameScope::~NameScope() {
  Path& path = path_of_thread();
  path.text.resize(path.lengths.back());
  path.lengths.pop_back();
}

std::string NameScope::path() { return path_of_thread().text; }

struct TraceScope::State {
  graph::Graph graph;
  std::unordered_map<const void*, graph::ValueId>
      values;  ///< of tensors that depend on an input, and used constants
  std::unordered_map<const void*, std::string> names;  ///< of constants
  std::vector<Tensor> alive;                           ///< so that no other tensor gets the same address
  int unnamed = 0;

  bool knows(const Tensor& tensor) const { return values.contains(TensorAccess::id(tensor)); }

  /// The value of an input of an operation; a tensor not seen before becomes a constant.
  graph::ValueId value_of(const Tensor& tensor) {
    const void* id = TensorAccess::id(tensor);
    if (const auto known = values.find(id); known != values.end()) return known->second;
    const auto name = names.find(id);
    const graph::ValueId value = graph.add_constant({
        .name = name != names.end() ? name->second : fmt::format("constant_{}", unnamed++),
        .shape = tensor.shape(),
        .dtype = tensor.dtype(),
        .data = graph::ConstantData::copy(tensor.raw()),
    });
    values.emplace(id, value);
    alive.push_back(tensor);
    return value;
  }

  /// Does the tensor depend on an input? Constants have data.
  bool varies(const Tensor& tensor) const {
    const auto known = values.find(TensorAccess::id(tensor));
    return known != values.end() && !graph.value(known->second).is_constant();
  }
};

TraceScope::TraceScope() {
  check(current == nullptr, "trace: one is active on this thread already");
  state_ = std::make_unique<State>();
  current = state_.get();
}

TraceScope::~TraceScope() { current = nullptr; }

bool TraceScope::active() { return current != nullptr; }

void TraceScope::input(const Tensor& x, std::string name) {
  check(x && x.shape().rank() >= 1 && x.shape()[0] == 1,
        "trace: input {} must have batch size 1 in axis 0, given {}", name,
        x ? to_string(x.shape()) : "an empty handle");
  check(!state_->knows(x), "trace: input {} is known already", name);
  state_->values.emplace(TensorAccess::id(x), state_->graph.add_input(std::move(name), x.shape(), x.dtype()));
  state_->alive.push_back(x);
}

void TraceScope::constant(const Tensor& x, std::string name) {
  check(static_cast<bool>(x), "trace: constant {} must not be empty", name);
  state_->names.insert_or_assign(TensorAccess::id(x), std::move(name));
  state_->alive.push_back(x);
}

graph::ValueId TraceScope::find(const Tensor& x) const {
  const auto known = x ? state_->values.find(TensorAccess::id(x)) : state_->values.end();
  return known != state_->values.end() ? known->second : -1;
}

graph::Graph TraceScope::finish(const Tensor& output) {
  check(output && state_->varies(output), "trace: the output does not depend on an input");
  state_->graph.set_outputs({state_->value_of(output)});
  return state_->graph;
}

void trace_op(const graph::Op& op, std::span<const Tensor> inputs, const Tensor& output) {
  TraceScope::State& state = *current;
  // What no input goes into is computed already: its result becomes a constant where it is used.
  if (std::ranges::none_of(inputs, [&](const Tensor& input) { return input && state.varies(input); })) return;
  std::vector<graph::ValueId> ids;
  for (const Tensor& input : inputs)
    if (input) ids.push_back(state.value_of(input));
  const std::size_t node = state.graph.nodes().size();
  state.graph.add_node(op, std::move(ids), NameScope::path(), output.dtype());
  state.values.insert_or_assign(TensorAccess::id(output), state.graph.nodes()[node].output);
  state.alive.push_back(output);
}

}  // namespace lathe
