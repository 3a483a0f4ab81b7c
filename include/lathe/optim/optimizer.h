#pragma once

#include <lathe/core/tensor.h>
#include <lathe/layers/module.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace lathe::optim {

/// Changes parameters along their gradients. One fused pass over all parameters a step; moments are kept by parameter name.
/// Updates every parameter that has a gradient; gradients stay until clear_grads().
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// One update with learning_rate().
  void step();
  void clear_grads();

  float learning_rate() const { return learning_rate_; }
  /// Throws Error unless finite and >= 0.
  void set_learning_rate(float learning_rate);
  std::int64_t steps() const { return steps_; }

  const std::vector<layers::NamedParameter>& parameters() const { return parameters_; }

  /// Moments by name ("adam.m.conv1.weight"), shared with the optimiser; and restoring them. restore() throws Error on a missing or
  /// extra name or a wrong shape.
  std::vector<layers::NamedTensor> state() const;
  void restore(const std::vector<layers::NamedTensor>& state, std::int64_t steps);
  virtual std::string type() const = 0;

 protected:
  /// `moments`: the names of the per-parameter state tensors, e.g. {"m", "v"}. Throws Error on duplicate or missing parameters.
  Optimizer(std::vector<layers::NamedParameter> parameters, float learning_rate, std::vector<std::string> moments);

  /// One contiguous piece of one parameter, with its moments.
  struct Slice {
    float* value;
    const float* grad;
    float* moment[2];
    std::int64_t size;
  };
  /// Updates a slice; called from several threads. steps() counts this step already.
  virtual void update(const Slice& slice) const = 0;

 private:
  std::vector<layers::NamedParameter> parameters_;
  std::vector<std::string> moment_names_;
  std::vector<std::vector<Tensor>> moments_;  ///< [moment][parameter]
  float learning_rate_;
  std::int64_t steps_ = 0;
};

/// Stochastic gradient descent. With d = grad + weight_decay * w: v = momentum * v + d; w -= lr * (nesterov ? d + momentum * v : v).
/// Sutskever et al. 2013.
class Sgd : public Optimizer {
 public:
  struct Options {
    float learning_rate = 0.01f;
    float momentum = 0;
    bool nesterov = false;
    float weight_decay = 0;
  };
  Sgd(std::vector<layers::NamedParameter> parameters, const Options& options);
  std::string type() const override { return "sgd"; }

 private:
  void update(const Slice& slice) const override;
  Options options_;
};

/// Kingma & Ba 2015, with Keras' epsilon. weight_decay is added to the gradient (L2).
class Adam : public Optimizer {
 public:
  struct Options {
    float learning_rate = 1e-3f;
    float beta1 = 0.9f;
    float beta2 = 0.999f;
    float epsilon = 1e-7f;
    float weight_decay = 0;
  };
  Adam(std::vector<layers::NamedParameter> parameters, const Options& options);
  std::string type() const override { return "adam"; }

 protected:
  Adam(std::vector<layers::NamedParameter> parameters, const Options& options, bool decoupled);

 private:
  void update(const Slice& slice) const override;
  Options options_;
  bool decoupled_ = false;
};

/// Adam with weight decay apart from the gradient: w -= lr * weight_decay * w. Loshchilov & Hutter 2019.
class AdamW : public Adam {
 public:
  AdamW(std::vector<layers::NamedParameter> parameters, const Options& options) : Adam(std::move(parameters), options, true) {}
  std::string type() const override { return "adamw"; }
};

/// v = rho * v + (1-rho) * g^2; w -= lr * g / (sqrt(v) + epsilon). Tieleman & Hinton 2012.
class RmsProp : public Optimizer {
 public:
  struct Options {
    float learning_rate = 1e-3f;
    float rho = 0.9f;
    float epsilon = 1e-7f;
    float weight_decay = 0;
  };
  RmsProp(std::vector<layers::NamedParameter> parameters, const Options& options);
  std::string type() const override { return "rmsprop"; }

 private:
  void update(const Slice& slice) const override;
  Options options_;
};

/// Scales all gradients down so that their joint L2 norm is at most max_norm; returns the norm before. Pascanu et al. 2013.
/// Throws Error unless max_norm > 0.
float clip_grad_norm(const std::vector<layers::NamedParameter>& parameters, float max_norm);

}  // namespace lathe::optim
