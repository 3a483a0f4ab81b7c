#pragma once

#include <lathe/core/ops.h>
#include <lathe/layers/module.h>

#include <memory>
#include <string>
#include <vector>

namespace lathe::layers {

/// x [N,H,W,in] -> [N,H',W',out]. Weight [out,kernel,kernel_w,in/groups], Glorot-uniform (Glorot & Bengio
/// 2010, the default of Keras); bias zeros.
class Conv2d : public Module {
 public:
  struct Options {
    int in = 1;
    int out = 1;
    int kernel = 3;
    int stride = 1;
    Padding padding = Padding::valid();
    int groups = 1;
    bool bias = true;
    Activation activation = Activation::none;
    int kernel_w = 0;  ///< width, where it is not the height, `kernel`
  };
  explicit Conv2d(const Options& options);
  std::string type() const override { return "Conv2d"; }
  std::string options() const override;

  /// Can a max pool behind it run together with it? Nobody must want to see its own output, and what changes
  /// it must keep its order.
  bool can_join() const;
  /// A max pool of 2x2 of what it gives (its output transform runs behind the pool): see conv2d_max_pool().
  Tensor pooled(const Tensor& x);

  Parameter weight, bias;

 protected:
  Tensor forward(const Tensor& x) override;
  void reset_own(const Rng& rng) override;

 private:
  graph::Conv2d op() const;

  Options options_;
};

/// x [N,H,W,channels] -> [N,H',W',channels]; each channel has its own kernel. Weight
/// [channels,kernel,kernel,1].
class DepthwiseConv2d : public Module {
 public:
  struct Options {
    int channels = 1;
    int kernel = 3;
    int stride = 1;
    Padding padding = Padding::valid();
    bool bias = true;
    Activation activation = Activation::none;
  };
  explicit DepthwiseConv2d(const Options& options);
  std::string type() const override { return "DepthwiseConv2d"; }
  std::string options() const override;

  Parameter weight, bias;

 protected:
  Tensor forward(const Tensor& x) override;
  void reset_own(const Rng& rng) override;

 private:
  Options options_;
};

/// x [N,in] -> [N,out]. Weight [out,in], Glorot-uniform; bias zeros.
class Linear : public Module {
 public:
  struct Options {
    int in = 1;
    int out = 1;
    bool bias = true;
    Activation activation = Activation::none;
  };
  explicit Linear(const Options& options);
  std::string type() const override { return "Linear"; }
  std::string options() const override;

  Parameter weight, bias;

 protected:
  Tensor forward(const Tensor& x) override;
  void reset_own(const Rng& rng) override;

 private:
  Options options_;
};

/// x [...,channels] -> same shape. Ioffe & Szegedy 2015, with Keras' defaults.
class BatchNorm2d : public Module {
 public:
  struct Options {
    int channels = 1;
    float epsilon = 1e-3f;
    float momentum = 0.99f;  ///< share of the old moving value that stays
    Activation activation = Activation::none;
    bool scale = true;  ///< false: gamma is 1 and no parameter
  };
  explicit BatchNorm2d(const Options& options);
  std::string type() const override { return "BatchNorm2d"; }
  std::string options() const override;

  float momentum() const { return options_.momentum; }
  /// In 0..1; for estimating the moving statistics anew.
  void set_momentum(float momentum);

  /// Can silu, and what else its layers do behind it, run together with it? Nobody must want to see its own output.
  bool can_join() const;
  /// silu of what it gives, in one pass over memory.
  Tensor with_silu(const Tensor& x);
  /// That times a gate made from its means: see gated_batch_norm().
  Tensor gated(const Tensor& x, FunctionRef<Tensor(const Tensor& mean)> gate);

  Parameter gamma, beta;
  Tensor moving_mean, moving_variance;

 protected:
  Tensor forward(const Tensor& x) override;
  void reset_own(const Rng& rng) override;

 private:
  graph::BatchNorm op(Activation activation) const;

  Options options_;
};

class MaxPool2d : public Module {
 public:
  struct Options {
    int kernel = 2;
    int stride = 0;  ///< 0: the kernel
    Padding padding = Padding::valid();
  };
  explicit MaxPool2d(const Options& options = {2, 0, {}});
  std::string type() const override { return "MaxPool2d"; }
  std::string options() const override;

  /// Windows of 2x2 side by side, no padding?
  bool halves() const;

 protected:
  Tensor forward(const Tensor& x) override;

 private:
  Options options_;
};

class AvgPool2d : public Module {
 public:
  using Options = MaxPool2d::Options;
  explicit AvgPool2d(const Options& options = {2, 0, {}});
  std::string type() const override { return "AvgPool2d"; }
  std::string options() const override;

 protected:
  Tensor forward(const Tensor& x) override;

 private:
  Options options_;
};

/// Drops elements in training, passes everything in evaluation. Its random numbers are state of the
/// checkpoint.
class Dropout : public Module {
 public:
  struct Options {
    float rate = 0.5f;
  };
  explicit Dropout(const Options& options = {0.5f});
  std::string type() const override { return "Dropout"; }
  std::string options() const override;

 protected:
  Tensor forward(const Tensor& x) override;
  void reset_own(const Rng& rng) override;

 private:
  Options options_;
  Rng rng_{0};
};

/// A layer without parameters and options: `Op` is a function Tensor(const Tensor&).
template <Tensor (*Op)(const Tensor&), const char* kType>
class Simple : public Module {
 public:
  struct Options {};
  explicit Simple(const Options& = {}) {}
  std::string type() const override { return kType; }

 protected:
  Tensor forward(const Tensor& x) override { return Op(x); }
};

namespace detail {
inline constexpr char kRelu[] = "Relu", kRelu6[] = "Relu6", kSigmoid[] = "Sigmoid", kSilu[] = "Silu",
                      kSoftmax[] = "Softmax", kLogSoftmax[] = "LogSoftmax",
                      kGlobalAvgPool[] = "GlobalAvgPool", kFlatten[] = "Flatten";
}
using Relu = Simple<relu, detail::kRelu>;
using Relu6 = Simple<relu6, detail::kRelu6>;
using Sigmoid = Simple<sigmoid, detail::kSigmoid>;
using Silu = Simple<silu, detail::kSilu>;
using Softmax = Simple<softmax, detail::kSoftmax>;
using LogSoftmax = Simple<log_softmax, detail::kLogSoftmax>;
using GlobalAvgPool = Simple<global_avg_pool, detail::kGlobalAvgPool>;
using Flatten = Simple<flatten, detail::kFlatten>;

/// a + b. A module, so that a quantizer can be put on its output.
class Add : public Module {
 public:
  struct Options {
    Activation activation = Activation::none;
  };
  explicit Add(const Options& options = {Activation::none}) : options_(options) {}
  Tensor operator()(const Tensor& a, const Tensor& b);
  std::string type() const override { return "Add"; }
  std::string options() const override;

 protected:
  Tensor forward(const Tensor& x) override;

 private:
  Options options_;
};

/// a * b, b broadcast over the image (squeeze-and-excite).
class Multiply : public Module {
 public:
  Tensor operator()(const Tensor& a, const Tensor& b);
  std::string type() const override { return "Multiply"; }

 protected:
  Tensor forward(const Tensor& x) override;
};

/// Joined along the channels.
class Concat : public Module {
 public:
  Tensor operator()(std::span<const Tensor> inputs);
  std::string type() const override { return "Concat"; }

 protected:
  Tensor forward(const Tensor& x) override;
};

/// Layers one after the other. When nothing is attached between them, a Conv2d and a MaxPool2d of 2x2 run as one
/// operation, and in training so do a BatchNorm2d, a Silu and a SqueezeExcite in a row.
///
///   layers::Sequential model;
///   model.add<layers::Conv2d>("conv", {.in = 1, .out = 12, .kernel = 3, .activation = Activation::relu});
///   model.add<layers::Flatten>("flatten");
class Sequential : public Module {
 public:
  /// Throws Error when the name is taken, empty or has a dot.
  template <typename Layer>
  Layer& add(std::string name, const typename Layer::Options& options = typename Layer::Options{}) {
    auto layer = std::make_unique<Layer>(options);
    Layer& result = *layer;
    append(std::move(name), std::move(layer));
    return result;
  }
  /// Takes over a layer of any class.
  void append(std::string name, std::unique_ptr<Module> layer);
  std::string type() const override { return "Sequential"; }

 protected:
  Tensor forward(const Tensor& x) override;

 private:
  Tensor run(std::size_t& next, const Tensor& x);
  /// The layer at `next` if it is a Layer to which nothing is attached, else null.
  template <typename Layer>
  Layer* plain(std::size_t next) const;

  std::vector<std::unique_ptr<Module>> layers_;
};

}  // namespace lathe::layers
