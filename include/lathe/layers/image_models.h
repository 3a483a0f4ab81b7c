#pragma once

#include <lathe/layers/layers.h>

#include <memory>
#include <vector>

/// Networks for photos: they take RGB pixels in 0..1 and give one logit for each class.
namespace lathe::layers {

/// Of Normalize: the constants of ImageNet, of pixels in 0..1, unless others are given.
struct NormalizeOptions {
  std::vector<float> mean = {0.485f, 0.456f, 0.406f};
  std::vector<float> deviation = {0.229f, 0.224f, 0.225f};
};

/// x [N,H,W,C] -> (x - mean) / sqrt(variance), channel by channel, with constants of a data set. As in Keras
/// they are kept with the number of images they were counted from, which nothing reads.
class Normalize : public Module {
 public:
  using Options = NormalizeOptions;
  /// Throws Error unless there are as many means as deviations and all deviations are positive.
  explicit Normalize(const Options& options = {});
  std::string type() const override { return "Normalize"; }

  Tensor mean, variance, count;

 protected:
  Tensor forward(const Tensor& x) override;
  void reset_own(const Rng& rng) override;

 private:
  Options options_;
};

/// Leaves out the whole of x [N,...] for a random share of the samples in training, and scales the others by
/// 1 / (1 - rate): what is added to a residual. Huang et al. 2016, as in EfficientNet.
class StochasticDepth : public Module {
 public:
  struct Options {
    float rate = 0.2f;
  };
  /// Throws Error when the rate is not in [0, 1).
  explicit StochasticDepth(const Options& options = {0.2f});
  std::string type() const override { return "StochasticDepth"; }
  std::string options() const override;

 protected:
  Tensor forward(const Tensor& x) override;
  void reset_own(const Rng& rng) override;

 private:
  Options options_;
  Rng rng_{0};
};

/// x [N,H,W,channels] times a factor for each channel of each sample, from the means of all: linear to
/// `reduced`, silu, linear, sigmoid. Hu et al. 2018.
class SqueezeExcite : public Module {
 public:
  struct Options {
    int channels = 1;
    int reduced = 1;
  };
  explicit SqueezeExcite(const Options& options);
  std::string type() const override { return "SqueezeExcite"; }

  /// The factors [N,channels] from the means [N,channels].
  Tensor gate(const Tensor& mean);
  /// Are the factors all that it computes with parts that somebody may see?
  bool only_gates() const;

 protected:
  Tensor forward(const Tensor& x) override;

 private:
  GlobalAvgPool squeeze_;
  Linear reduce_;
  Silu silu_;
  Linear expand_;
  Sigmoid sigmoid_;
  Multiply multiply_;
};

/// body(x) + x, in training without body(x) at a rate: the residual of inverted bottlenecks.
class Residual : public Module {
 public:
  /// `name` is that of the body. Rate 0: nothing is left out.
  Residual(std::string name, std::unique_ptr<Module> body, float drop_rate = 0);
  std::string type() const override { return "Residual"; }

 protected:
  Tensor forward(const Tensor& x) override;

 private:
  std::unique_ptr<Module> body_;
  bool dropping_ = false;
  StochasticDepth drop_;
  Add add_;
};

/// Of PreactivationBlock.
struct PreactivationOptions {
  int in = 1;
  int width = 1;  ///< of the 3x3 convolution
  int out = 1;
  int stride = 1;
};

/// A block of a residual network that normalises before it weighs: relu(norm(x)) goes through 1x1, 3x3
/// with the stride, and 1x1 convolutions; what is added to it is x, every stride-th pixel of x, or, where the
/// channels change, a 1x1 convolution of relu(norm(x)). He et al. 2016, Identity mappings.
class PreactivationBlock : public Module {
 public:
  using Options = PreactivationOptions;
  explicit PreactivationBlock(const Options& options);
  std::string type() const override { return "PreactivationBlock"; }

 protected:
  Tensor forward(const Tensor& x) override;

 private:
  BatchNorm2d norm_;
  std::unique_ptr<Conv2d> projection_;   ///< null: no change of the channels
  std::unique_ptr<MaxPool2d> thinning_;  ///< null: no stride, or a projection
  Sequential body_;
  Add add_;
};

/// Modules that read the same input; their outputs are joined along the channels, in the order of append().
class Branches : public Module {
 public:
  Branches() { register_module("concat", concat_); }
  /// Throws Error when the name is taken, empty or has a dot.
  void append(std::string name, std::unique_ptr<Module> branch);
  std::string type() const override { return "Branches"; }

 protected:
  Tensor forward(const Tensor& x) override;

 private:
  std::vector<std::unique_ptr<Module>> branches_;
  Concat concat_;
};

/// Normalisation, a body of convolutions, the average over the image, and a head on that: the parts that
/// transfer learning takes separately. Its children are "normalize", "features", "pool" and "classifier".
class ImageClassifier : public Module {
 public:
  ImageClassifier(std::unique_ptr<Module> features, std::unique_ptr<Module> classifier,
                  const NormalizeOptions& normalize = {});
  std::string type() const override { return "ImageClassifier"; }
  /// x [N,H,W,3] -> [N,C], what the head takes.
  Tensor features(const Tensor& x);
  Module& classifier() { return *classifier_; }

 protected:
  Tensor forward(const Tensor& x) override;

 private:
  Normalize normalize_;
  std::unique_ptr<Module> features_;
  GlobalAvgPool pool_;
  std::unique_ptr<Module> classifier_;
};

/// MobileNetV2 1.0 (Sandler et al. 2018) for 224x224, batch norm folded into the convolutions, symmetric
/// padding; its tensors are named as torchvision names them ("features.2.conv.0.0.weight"). Behind the global
/// average pool a dropout and one linear layer, "classifier.1".
std::unique_ptr<Module> mobilenet_v2(int classes);

/// EfficientNet-B0 (Tan & Le 2019) for 224x224 as in Keras, without its top; then the head of the published
/// study: linear 512 relu, batch norm, dropout, linear 64 relu, dropout, linear.
std::unique_ptr<Module> efficientnet_b0(int classes);

/// MobileNetV1 1.0 (Howard et al. 2017) for 224x224: depthwise and 1x1 convolutions in turn, relu6.
std::unique_ptr<Module> mobilenet_v1(int classes);

/// ResNet V2 101 (He et al. 2016) for 299x299, in the form of TensorFlow's models: the last block of a stage
/// has the stride.
std::unique_ptr<Module> resnet_v2_101(int classes);

/// Inception V3 (Szegedy et al. 2016) for 299x299, without its second head; batch norm without scale.
std::unique_ptr<Module> inception_v3(int classes);

/// Five 3x3 convolutions with batch norm for 128x128: trains from scratch in minutes.
std::unique_ptr<Module> small_cnn(int classes);

}  // namespace lathe::layers
