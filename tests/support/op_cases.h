#pragma once

#include <lathe/base/random.h>
#include <lathe/core/tensor.h>
#include <lathe/graph/op.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

/// Every operation at the sizes worth trying. One table drives the comparison with the plain reference, the
/// gradient check, the parity of exported graphs and the benchmark of the same name.
namespace lathe::testing {

/// What the plain implementation says: the output, and the gradient of each input (empty where there is
/// none).
struct Plain {
  Tensor output;
  std::vector<Tensor> grads;
};

struct OpCase {
  std::string name;  ///< "conv2d/3x3_same": op and what is special, without spaces
  graph::Op op;
  /// The inputs in the order of graph/op.h, random, away from kinks by more than `step`.
  std::function<std::vector<Tensor>(Rng&)> inputs;
  /// The operation of ops.h.
  std::function<Tensor(std::span<const Tensor>)> run;
  /// The same by plain loops, with the gradients of sum(output * grad).
  std::function<Plain(std::span<const Tensor> inputs, const Tensor& grad)> plain;
  /// Largest difference to `plain`, relative to the largest element of the tensor compared; `why` says where
  /// it comes from.
  double tolerance = 1e-6;
  std::string why = "rounding of single operations";
  /// Step of the central differences of the gradient check. Ops linear in each input allow a large one, which
  /// rounds less.
  float step = 1.0f / 64;
  double gradient_tolerance = 1e-3;
  /// Bit i: input i gets no gradient (labels, statistics, targets).
  unsigned constants = 0;
  /// Bit i: the gradient of input i is by definition not the derivative (straight-through estimators): it is
  /// compared with the plain one only.
  unsigned not_derivatives = 0;
  double flops = 0;  ///< of the forward pass, for the benchmark; 0: report bytes
  /// A size of a real model: benchmark only, too slow for plain loops.
  bool large = false;
};

/// All cases.
std::span<const OpCase> op_cases();

/// Uniform in [low, high).
Tensor uniform(const Shape& shape, Rng& rng, float low = -1, float high = 1);
/// Any two elements differ by at least `gap`, none is nearer to 0 than gap / 2: safe for max pooling and for
/// relu.
Tensor spaced(const Shape& shape, Rng& rng, float gap);

// The parts of the table, one function for each file op_cases_*.cpp.
std::vector<OpCase> compression_cases();
std::vector<OpCase> quantization_cases();
std::vector<OpCase> conv_cases();
std::vector<OpCase> linear_cases();
std::vector<OpCase> pool_cases();
std::vector<OpCase> elementwise_cases();
std::vector<OpCase> norm_cases();
std::vector<OpCase> shape_cases();
std::vector<OpCase> loss_cases();

}  // namespace lathe::testing
