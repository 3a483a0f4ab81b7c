#pragma once

#include <lathe/core/tensor.h>
#include <lathe/graph/graph.h>

#include <memory>
#include <string>
#include <string_view>

namespace lathe {

/// Puts a name in front of everything that happens on this thread while it lives: modules open one each, so that errors,
/// traces and summaries speak of "block1.conv".
class NameScope {
 public:
  explicit NameScope(std::string_view name);
  ~NameScope();
  NameScope(const NameScope&) = delete;
  NameScope& operator=(const NameScope&) = delete;

  /// The names of all scopes open on this thread joined by dots.
  static std::string path();
};

/// Writes down, as a Graph, the operations that run on this thread while it lives.
///
///   TraceScope trace;
///   trace.input(x, "image");
///   trace.constant(weight, "conv1.weight");   // else constants are named constant_0, ...
///   graph::Graph graph = trace.finish(model(x));
///
/// Tensors that are neither inputs nor made by a recorded operation become constants (their elements are copied).
class TraceScope {
 public:
  /// Throws Error when one is active on this thread already.
  TraceScope();
  ~TraceScope();
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;

  /// Is there one on this thread?
  static bool active();

  /// x must have batch size 1 in axis 0.
  void input(const Tensor& x, std::string name);
  void constant(const Tensor& x, std::string name);
  /// The value that stands for a tensor; -1 when there is none (yet).
  graph::ValueId find(const Tensor& x) const;
  /// Throws Error when `output` does not depend on an input.
  graph::Graph finish(const Tensor& output);

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace lathe
