#include "op_cases.h"

#include "../../core/kernels/reference/norm.h"
#include "../../core/ops/common.h"

#include <lathe/core/ops.h>

#include <vector>

namespace lathe::testing {
namespace {

using graph::Activation;
using graph::BatchNorm;

/// x whose normalised columns are evenly spaced: with an even number of rows, a gamma of 5 and a beta near 0,
/// eight rows come to about +-1.1, 3.3, 5.5, 7.6, far from the kinks at 0 and 6.
std::vector<Tensor> spread_inputs(const Shape& shape, Rng& rng) {
  const std::int64_t channels = shape[-1], rows = shape.size() / channels;
  Tensor x = Tensor::empty(shape);
  for (std::int64_t c = 0; c < channels; ++c) {
    const Tensor column = spaced({rows}, rng, 8.0f / static_cast<float>(rows));
    const float offset = rng.uniform(-3, 3);
    for (std::int64_t r = 0; r < rows; ++r) write(x)[r * channels + c] = read(column)[r] + offset;
  }
  // Moving statistics that are near the batch's, for eval mode.
  Tensor mean = Tensor::empty({channels}), variance = Tensor::empty({channels});
  std::vector<double> means(static_cast<std::size_t>(channels)), variances(means);
  kernels::reference::moments(rows, channels, read(x), means.data(), variances.data());
  for (std::size_t c = 0; c < means.size(); ++c) {
    write(mean)[c] = static_cast<float>(means[c]) + rng.uniform(-0.05f, 0.05f);
    write(variance)[c] = static_cast<float>(variances[c]) * rng.uniform(0.95f, 1.05f);
  }
  return {x, uniform({channels}, rng, 4.95f, 5.05f), uniform({channels}, rng, -0.1f, 0.1f), mean, variance};
}

Plain plain_norm(const BatchNorm& op, std::span<const Tensor> in, const Tensor& grad) {
  const std::int64_t channels = grad.shape()[-1], rows = grad.size() / channels;
  std::vector<double> mean(read(in[3]), read(in[3]) + channels),
      variance(read(in[4]), read(in[4]) + channels);
  if (op.training) kernels::reference::moments(rows, channels, read(in[0]), mean.data(), variance.data());
  const kernels::reference::Statistics by{mean.data(), variance.data()};
  Plain plain{Tensor::empty(grad.shape()),
              {Tensor::empty(grad.shape()), Tensor::empty({channels}), Tensor::empty({channels}), {}, {}}};
  kernels::reference::batch_norm(op, rows, channels, read(in[0]), by, read(in[1]), read(in[2]),
                                 write(plain.output));
  kernels::reference::batch_norm_backward(
      op, rows, channels, read(in[0]), by, read(in[1]), read(in[2]), read(grad),
      {.dx = write(plain.grads[0]), .dgamma = write(plain.grads[1]), .dbeta = write(plain.grads[2])});
  return plain;
}

OpCase norm_case(const std::string& name, const Shape& shape, const BatchNorm& op) {
  OpCase c;
  c.name = "batch_norm/" + name;
  c.op = op;
  c.inputs = [shape](Rng& rng) { return spread_inputs(shape, rng); };
  c.run = [op](std::span<const Tensor> in) { return batch_norm(in[0], in[1], in[2], in[3], in[4], op); };
  c.plain = [op](std::span<const Tensor> in, const Tensor& grad) { return plain_norm(op, in, grad); };
  c.tolerance = 1e-5;
  c.why = "sums of some hundred elements in single precision";
  c.constants = 0b11000;
  if (shape.size() > 10'000)
    c.gradient_tolerance = 5e-3;  // the sum of so many rounded outputs is differentiated
  return c;
}

/// The gate is the mean times input 5, which makes gate and gradient simple and depend on each other.
Tensor run_gated(const BatchNorm& op, std::span<const Tensor> in) {
  return gated_batch_norm(in[0], in[1], in[2], in[3], in[4], op,
                          [&](const Tensor& mean) { return multiply(mean, in[5]); });
}

Plain plain_gated(const BatchNorm& op, std::span<const Tensor> in, const Tensor& grad) {
  const std::int64_t images = grad.shape()[0], channels = grad.shape()[3],
                     area = grad.size() / images / channels;
  const Tensor y = plain_norm(op, in.first(5), grad).output;
  Tensor z = Tensor::empty(grad.shape()), dy = Tensor::empty(grad.shape()),
         dweight = Tensor::empty({images, channels});
  for (std::int64_t n = 0; n < images; ++n)
    for (std::int64_t c = 0; c < channels; ++c) {
      const auto at = [&](std::int64_t pixel) { return (n * area + pixel) * channels + c; };
      double mean = 0, product = 0;
      for (std::int64_t pixel = 0; pixel < area; ++pixel) {
        mean += static_cast<double>(read(y)[at(pixel)]) / static_cast<double>(area);
        product += static_cast<double>(read(grad)[at(pixel)]) * static_cast<double>(read(y)[at(pixel)]);
      }
      const auto weight = static_cast<double>(read(in[5])[n * channels + c]);
      const double gate = mean * weight, through_mean = product * weight / static_cast<double>(area);
      write(dweight)[n * channels + c] = static_cast<float>(product * mean);
      for (std::int64_t pixel = 0; pixel < area; ++pixel) {
        write(z)[at(pixel)] = static_cast<float>(static_cast<double>(read(y)[at(pixel)]) * gate);
        write(dy)[at(pixel)] =
            static_cast<float>(static_cast<double>(read(grad)[at(pixel)]) * gate + through_mean);
      }
    }
  Plain plain = plain_norm(op, in.first(5), dy);
  plain.output = z;
  plain.grads.push_back(dweight);
  return plain;
}

OpCase gated_case(const std::string& name, const Shape& shape, const BatchNorm& op) {
  OpCase c = norm_case(name, shape, op);
  c.name = "gated_batch_norm/" + name;
  c.inputs = [shape](Rng& rng) {
    std::vector<Tensor> inputs = spread_inputs(shape, rng);
    inputs.push_back(uniform({shape[0], shape[3]}, rng, 0.2f, 0.8f));
    return inputs;
  };
  c.run = [op](std::span<const Tensor> in) { return run_gated(op, in); };
  c.plain = [op](std::span<const Tensor> in, const Tensor& grad) { return plain_gated(op, in, grad); };
  return c;
}

OpCase large(OpCase c) {
  c.large = true;
  return c;
}

}  // namespace

std::vector<OpCase> norm_cases() {
  const BatchNorm train{.training = true};
  const BatchNorm train_relu{.training = true, .activation = Activation::relu};
  const BatchNorm train_relu6{.training = true, .activation = Activation::relu6};
  const BatchNorm train_silu{.training = true, .activation = Activation::silu};
  return {
      norm_case("train", {2, 2, 2, 12}, train),
      norm_case("train_relu", {2, 2, 2, 12}, train_relu),
      norm_case("train_relu6", {2, 2, 2, 24}, train_relu6),
      norm_case("train_silu", {2, 2, 2, 5}, train_silu),
      norm_case("train_silu_many_rows", {10, 30, 31, 12}, train_silu),
      norm_case("train_silu_many_rows_wide", {3, 30, 31, 131}, train_silu),
      norm_case("eval_silu", {2, 2, 2, 12}, {.activation = Activation::silu}),
      norm_case("train_dense", {8, 7}, train_relu),
      norm_case("train_one_channel", {2, 4, 1, 1}, train_relu),
      norm_case("train_wide", {8, 200}, train_relu6),
      norm_case("train_many_rows", {10, 30, 31, 12}, train),
      norm_case("train_many_rows_odd", {3, 30, 31, 7}, train),
      norm_case("train_many_rows_wide", {3, 30, 31, 131}, train),
      norm_case("train_epsilon_1", {2, 2, 2, 16}, {.epsilon = 1, .training = true}),
      norm_case("eval", {2, 2, 2, 12}, {}),
      norm_case("eval_relu", {2, 2, 2, 12}, {.activation = Activation::relu}),
      norm_case("eval_relu6", {2, 2, 2, 24}, {.activation = Activation::relu6}),
      norm_case("eval_many_rows", {10, 30, 31, 12}, {}),
      gated_case("train", {2, 2, 2, 12}, train_silu),
      gated_case("train_many_rows", {3, 30, 31, 20}, train_silu),
      gated_case("train_wide", {2, 2, 2, 100}, train_silu),
      gated_case("eval", {2, 2, 2, 12}, {.activation = Activation::silu}),

      large(norm_case("dscnn_12", {128, 14, 14, 12}, train_relu)),
      large(norm_case("dscnn_24", {128, 7, 7, 24}, train_relu)),
      large(norm_case("efficientnet_96", {16, 56, 56, 96}, train)),
      large(norm_case("efficientnet_96_silu", {16, 56, 56, 96}, train_silu)),
      large(gated_case("efficientnet_96", {16, 56, 56, 96}, train_silu)),
      large(norm_case("efficientnet_1280", {16, 7, 7, 1280}, train)),
  };
}

}  // namespace lathe::testing
