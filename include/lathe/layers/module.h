#pragma once

#include <lathe/base/function_ref.h>
#include <lathe/base/random.h>
#include <lathe/core/tensor.h>
#include <lathe/layers/transform.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lathe::layers {

/// A trainable tensor of a module. A shared handle: module and optimiser see the same tensor, whose identity
/// never changes, whatever is attached or stripped.
class Parameter {
 public:
  Parameter() = default;
  explicit Parameter(Shape shape);
  explicit operator bool() const { return state_ != nullptr; }

  /// What a layer computes with: the master through all transforms, in the order of their stages. Empty for
  /// an empty handle.
  Tensor value() const;
  /// What the optimiser updates and a checkpoint stores.
  Tensor& master() { return state_->master; }
  const Tensor& master() const { return state_->master; }

  /// Throws Error when there is one of its stage already.
  void attach(std::shared_ptr<Transform> transform);
  const std::vector<std::shared_ptr<Transform>>& transforms() const;
  /// Writes what the transforms up to `stage` give into the master and takes them off: value() is the same
  /// bits before and after (in evaluation).
  void bake(Stage stage);

 private:
  friend class FrozenValues;
  struct State {
    Tensor master;
    Tensor frozen;  ///< what value() gives while a FrozenValues lives
    std::vector<std::shared_ptr<Transform>> transforms;
  };
  std::shared_ptr<State> state_;
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

  /// All below this module with their paths, in the order of registration, depth first; those of transforms
  /// after what they are attached to ("conv.weight.mask", "conv.output.range").
  std::vector<NamedParameter> parameters() const;
  std::vector<NamedTensor> buffers() const;
  std::vector<std::pair<std::string, Module*>> modules();  ///< this one first, with an empty path
  std::vector<std::pair<std::string, Rng*>> rngs() const;

  void clear_grads();

  /// A transform of what goes into forward() (of modules with one input) or of what comes out. Replaces the
  /// one before; null takes it off.
  void set_input_transform(std::shared_ptr<Transform> transform);
  void set_output_transform(std::shared_ptr<Transform> transform);
  const std::shared_ptr<Transform>& input_transform() const { return input_transform_; }
  const std::shared_ptr<Transform>& output_transform() const { return output_transform_; }

  /// "Conv2d", for summaries.
  virtual std::string type() const { return "Module"; }
  /// Options that differ from the default, "12 3x3 stride 2 same"; for summaries.
  virtual std::string options() const { return {}; }
  /// All trained tensors and buffers of this module and those below it, without what transforms add.
  void visit_own(FunctionRef<void(const Tensor&, bool trainable)> visit) const;
  /// What is attached to this module itself, with the name of the parameter, "input" or "output".
  std::vector<std::pair<std::string, Transform*>> transforms() const;
  bool has_children() const { return !children_.empty(); }
  bool has_parameters() const { return !parameters_.empty(); }

 protected:
  virtual Tensor forward(const Tensor& x) = 0;
  /// What goes into forward(): x after the input transform.
  Tensor transformed(const Tensor& x) const { return input_transform_ ? input_transform_->apply(x) : x; }
  /// Initialises the parameters and buffers of this module itself (not of its children).
  virtual void reset_own(const Rng& rng) { (void)rng; }

  /// Names are unique in a module, not empty and without a dot (Error otherwise).
  void register_parameter(std::string name, Parameter& parameter);
  void register_buffer(std::string name, Tensor& buffer);
  void register_module(std::string name, Module& module);
  void register_rng(std::string name, Rng& rng);

  /// Runs `body` (a forward pass of any signature) as this module: name scope, output transform, observer,
  /// path in errors.
  Tensor call(FunctionRef<Tensor()> body);

 private:
  std::string name_;  ///< the name the parent registered
  bool training_ = true;
  std::shared_ptr<Transform> input_transform_, output_transform_;
  std::vector<std::pair<std::string, Parameter*>> parameters_;
  std::vector<std::pair<std::string, Tensor*>> buffers_;
  std::vector<std::pair<std::string, Rng*>> rngs_;
  std::vector<std::pair<std::string, Module*>> children_;
};

/// Puts a module and all below it into evaluation, and each part back into the mode it was in at the end of the scope.
class EvalMode {
 public:
  explicit EvalMode(Module& module);
  ~EvalMode();
  EvalMode(const EvalMode&) = delete;
  EvalMode& operator=(const EvalMode&) = delete;

 private:
  std::vector<std::pair<Module*, bool>> modes_;
};

/// While it lives, value() of each parameter of a module gives the tensor that it gave at the start, computed
/// once and without gradients: what an export works with.
class FrozenValues {
 public:
  explicit FrozenValues(const Module& module);
  ~FrozenValues();
  FrozenValues(const FrozenValues&) = delete;
  FrozenValues& operator=(const FrozenValues&) = delete;

 private:
  std::vector<NamedParameter> parameters_;
};

/// The layer table of a model: one line a layer with path, type, options, output shape and parameters, then
/// the totals. Runs the module once in eval mode on zeros of `input` ([N,H,W,C]).
std::string summary(Module& module, const Shape& input);

/// Without what transforms add.
struct ParameterTotals {
  std::int64_t all = 0;  ///< trainable and moving statistics
  std::int64_t trainable = 0;
};
ParameterTotals count_parameters(const Module& module);

}  // namespace lathe::layers
