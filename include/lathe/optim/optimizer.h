#pragma once

#include <lathe/core/tensor.h>
#include <lathe/layers/module.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace lathe::optim {

/// Changes parameters along their gradients. One fused pass over all parameters a step; moments are kept by
/// parameter name. Updates every parameter that has a gradient; gradients stay until clear_grads(). The
/// result does not depend on the number of threads nor on the processor.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// One update with learning_rate(). Throws Error when no parameter has a gradient.
  void step();
  void clear_grads();

  float learning_rate() const { return learning_rate_; }
  /// Throws Error unless finite and >= 0.
  void set_learning_rate(float learning_rate);

  /// Parameters that layers::match_parameters() finds for the pattern learn at `factor` times
  /// learning_rate(); where several patterns match, the last call holds. Discriminative fine-tuning: Howard &
  /// Ruder 2018, section 3.2. Throws Error when nothing matches or the factor is negative or not finite.
  void scale_learning_rate(const std::string& pattern, float factor);
  std::int64_t steps() const { return steps_; }

  const std::vector<layers::NamedParameter>& parameters() const { return parameters_; }

  /// Moments by name ("adam.m.conv1.weight"), shared with the optimiser; and restoring them. restore()
  /// copies; it throws Error on a missing or extra name or a wrong shape, and then changes nothing.
  std::vector<layers::NamedTensor> state() const;
  void restore(const std::vector<layers::NamedTensor>& state, std::int64_t steps);

  virtual std::string type() const = 0;
  /// All options but the learning rate, "beta1=0.9, beta2=0.999": a checkpoint is for an optimiser of equal
  /// type and options.
  virtual std::string options() const = 0;
  /// "adam(beta1=0.9, beta2=0.999), features.* at 0.1 of the rate": all that a resumed training must share.
  std::string description() const;

 protected:
  /// `moments`: the names of the per-parameter state tensors, e.g. {"m", "v"}, at most 2. Throws Error when
  /// there are no parameters, one is empty, or two have the same name or are the same tensor.
  Optimizer(std::vector<layers::NamedParameter> parameters, float learning_rate,
            std::vector<std::string> moments);

  /// One contiguous piece of one parameter, with its moments.
  struct Slice {
    float* value;
    const float* grad;
    float* moment[2];
    std::int64_t size;
    float learning_rate;
  };
  /// Updates a slice; called from several threads, must not throw. steps() counts this step already.
  virtual void update(const Slice& slice) const = 0;

 private:
  std::vector<layers::NamedParameter> parameters_;
  std::vector<std::string> moment_names_;
  std::vector<std::vector<Tensor>> moments_;  ///< [moment][parameter]
  float learning_rate_ = 0;
  std::vector<float> rate_factors_;  ///< [parameter]
  std::string rate_scales_;          ///< what was said of them
  std::int64_t steps_ = 0;
};

/// Stochastic gradient descent. With d = grad + weight_decay * w: v = momentum * v + d; w -= lr * (nesterov ?
/// d + momentum * v : v). Sutskever et al. 2013, in the form where a new learning rate acts at once.
class Sgd : public Optimizer {
 public:
  struct Options {
    float learning_rate = 0.01f;
    float momentum = 0;
    bool nesterov = false;
    float weight_decay = 0;
  };
  /// Throws Error unless 0 <= momentum < 1, weight_decay >= 0, and momentum > 0 with nesterov.
  Sgd(std::vector<layers::NamedParameter> parameters, const Options& options);
  std::string type() const override { return "sgd"; }
  std::string options() const override;

 private:
  void update(const Slice& slice) const override;
  Options options_;
};

/// Kingma & Ba 2015: m += (1-beta1) (g-m); v += (1-beta2) (g^2-v);
/// w -= lr * sqrt(1-beta2^t) / (1-beta1^t) * m / (sqrt(v) + epsilon).
/// As in Keras (and at the end of section 2 of the paper) epsilon stands beside the uncorrected sqrt(v): in
/// the first steps it weighs more than in the paper's algorithm 1. weight_decay is added to the gradient
/// (L2).
class Adam : public Optimizer {
 public:
  struct Options {
    float learning_rate = 1e-3f;
    float beta1 = 0.9f;
    float beta2 = 0.999f;
    float epsilon = 1e-7f;
    float weight_decay = 0;
  };
  /// Throws Error unless 0 <= beta < 1, epsilon > 0, weight_decay >= 0.
  Adam(std::vector<layers::NamedParameter> parameters, const Options& options);
  std::string type() const override { return decoupled_ ? "adamw" : "adam"; }
  std::string options() const override;

 protected:
  Adam(std::vector<layers::NamedParameter> parameters, const Options& options, bool decoupled);

 private:
  void update(const Slice& slice) const override;
  Options options_;
  bool decoupled_;
};

/// Adam with weight decay apart from the gradient: w -= lr * weight_decay * w. Loshchilov & Hutter 2019.
class AdamW : public Adam {
 public:
  AdamW(std::vector<layers::NamedParameter> parameters, const Options& options)
      : Adam(std::move(parameters), options, true) {}
};

/// v = rho * v + (1-rho) * g^2; w -= lr * g / (sqrt(v) + epsilon). Tieleman & Hinton 2012. weight_decay is
/// added to the gradient (L2).
class RmsProp : public Optimizer {
 public:
  struct Options {
    float learning_rate = 1e-3f;
    float rho = 0.9f;
    float epsilon = 1e-7f;
    float weight_decay = 0;
  };
  /// Throws Error unless 0 <= rho < 1, epsilon > 0, weight_decay >= 0.
  RmsProp(std::vector<layers::NamedParameter> parameters, const Options& options);
  std::string type() const override { return "rmsprop"; }
  std::string options() const override;

 private:
  void update(const Slice& slice) const override;
  Options options_;
};

/// Scales all gradients down so that their joint L2 norm is at most max_norm; returns the norm before. A norm
/// that is not finite leaves them as they are. Pascanu et al. 2013. Throws Error unless max_norm is finite
/// and > 0.
float clip_grad_norm(const std::vector<layers::NamedParameter>& parameters, float max_norm);

}  // namespace lathe::optim
