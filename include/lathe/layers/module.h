#pragma once

#include <lathe/base/function_ref.h>
#include <lathe/base/random.h>
#include <lathe/core/tensor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lathe::layers {

/// A trainable tensor of a module. A shared handle: module and optimiser see the same tensor, whose identity
/// never changes.
class Parameter {
 public:
  Parameter() = default;
  explicit Parameter(Shape shape) : master_(Tensor::zeros(shape)) { master_.set_requires_grad(true); }

  /// What a layer computes with.
  Tensor value() const { return master_; }
  /// What the optimiser updates and a checkpoint stores.
  Tensor& master() { return master_; }
  const Tensor& master() const { return master_; }
  explicit operator bool() const { return static_cast<bool>(master_); }

 private:
  Tensor master_;
};

/// A name ("block1.conv.weight") and what it names.
struct NamedParameter {
  std::string name;
  Parameter parameter;
};
struct NamedTensor {
  std::string name;
  Tensor tensor;
};

/// A part of a network: parameters, buffers (state that is not trained, like moving averages), and child
/// modules.
///
///   struct Residual : layers::Module {
///     layers::Conv2d conv{{.in = 16, .out = 16, .kernel = 3, .padding = Padding::same()}};
///     layers::Add add;
///     Residual() { register_module("conv", conv), register_module("add", add); }
///     Tensor forward(const Tensor& x) override { return add(conv(x), x); }
///   };
///
/// Parents own children (by value or unique_ptr); register_module records names, not ownership. Not copyable.
class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  /// Opens the name scope and calls forward(). Errors thrown inside get the module's path in front.
  Tensor operator()(const Tensor& x);

  /// Initialises all parameters and buffers, each from a split of `rng` by its name: the order of layers does
  /// not matter.
  void reset(const Rng& rng);

  /// Training or evaluation behaviour (batch norm, dropout) of this module and all below it. New modules are
  /// in training mode.
  void train(bool on = true);
  void eval() { train(false); }
  bool training() const { return training_; }

  /// All below this module with their paths, in the order of registration, depth first.
  std::vector<NamedParameter> parameters() const;
  std::vector<NamedTensor> buffers() const;
  std::vector<std::pair<std::string, Module*>> modules();  ///< this one first, with an empty path
  std::vector<std::pair<std::string, Rng*>> rngs() const;

  void clear_grads();

  /// "Conv2d", for summaries.
  virtual std::string type() const { return "Module"; }
  /// Options that differ from the default, "12 3x3 stride 2 same"; for summaries.
  virtual std::string options() const { return {}; }
  bool has_children() const { return !children_.empty(); }
  bool has_parameters() const { return !parameters_.empty(); }

 protected:
  virtual Tensor forward(const Tensor& x) = 0;
  /// Initialises the parameters and buffers of this module itself (not of its children).
  virtual void reset_own(const Rng& rng) { (void)rng; }

  /// Names are unique in a module, not empty and without a dot (Error otherwise).
  void register_parameter(std::string name, Parameter& parameter);
  void register_buffer(std::string name, Tensor& buffer);
  void register_module(std::string name, Module& module);
  void register_rng(std::string name, Rng& rng);

  /// Runs `body` (a forward pass of any signature) as this module: name scope, observer, path in errors.
  Tensor call(FunctionRef<Tensor()> body);

 private:
  std::string name_;  ///< the name the parent registered
  bool training_ = true;
  std::vector<std::pair<std::string, Parameter*>> parameters_;
  std::vector<std::pair<std::string, Tensor*>> buffers_;
  std::vector<std::pair<std::string, Rng*>> rngs_;
  std::vector<std::pair<std::string, Module*>> children_;
};

/// The layer table of a model: one line a layer with path, type, options, output shape and parameters, then
/// the totals. Runs the module once in eval mode on zeros of `input` ([N,H,W,C]).
std::string summary(Module& module, const Shape& input);

struct ParameterTotals {
  std::int64_t all = 0;  ///< trainable and moving statistics
  std::int64_t trainable = 0;
};
ParameterTotals count_parameters(const Module& module);

}  // namespace lathe::layers
