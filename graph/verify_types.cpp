#include "verify.h"

#include <lathe/graph/quantization.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace lathe::graph {
namespace {

constexpr std::int64_t kMaxAccumulator = std::numeric_limits<std::int32_t>::max();
/// Of 64-bit accumulators: rescaling multiplies them with 31 bits in 128.
constexpr double kMaxWideAccumulator = 0x1p62;

std::string type_text(const Value& value) {
  std::string text = fmt::format("{}{}", to_string(value.dtype), to_string(value.shape));
  if (value.quantization && value.quantization->scale.size() == 1)
    text += fmt::format(" scale {} zero {}", value.quantization->scale[0], value.quantization->zero_point);
  return text;
}

void check_dtype(std::string_view what, const Value& value, Dtype dtype) {
  check(value.dtype == dtype, "{} must be {}, given {}", what, to_string(dtype), type_text(value));
}

/// One scale for the whole tensor.
void check_per_tensor(std::string_view what, const Value& value) {
  check(value.quantization && value.quantization->scale.size() == 1, "{} must have one scale, given {}", what,
        type_text(value));
}

float scale_of(const Value& value) { return value.quantization->scale[0]; }

/// The scale of an index of axis 0.
float scale_at(const Value& value, std::size_t index) {
  const auto& scale = value.quantization->scale;
  return scale[scale.size() == 1 ? 0 : index];
}

/// Bits by which a rescaling factor in Q31 form is shifted to the left: 0 for factors below 1.
int left_shift(double factor) {
  int exponent = 0;
  std::frexp(factor, &exponent);
  return std::max(exponent, 0);
}

/// Rescaling `largest` by `factor` must stay within 32 bits before the result is clamped.
void check_rescaling(double factor, std::int64_t largest) {
  check(std::isfinite(factor) && factor > 0, "rescaling factor {} is not possible", factor);
  const int shift = left_shift(factor);
  check(shift < 31 && largest <= (kMaxAccumulator >> shift),
        "an accumulator of up to {}, rescaled by {}, does not fit into 32 bits", largest, factor);
}

/// The same for 64 bits: the factor shifts at most 31 to the left.
void check_wide_rescaling(double factor, double largest) {
  check(std::isfinite(factor) && factor > 0 && factor < 0x1p31, "rescaling factor {} is not possible",
        factor);
  check(largest < kMaxWideAccumulator, "an accumulator of up to {} does not fit into 62 bits", largest);
}

bool is_clamp(Activation activation) {
  return activation == Activation::none || activation == Activation::relu || activation == Activation::relu6;
}

struct Operands {
  const Graph& graph;
  const Node& node;
  std::size_t size() const { return node.inputs.size(); }
  const Value& operator[](std::size_t index) const { return graph.value(node.inputs[index]); }
  const Value& output() const { return graph.value(node.output); }
};

/// The dtype of the activations of an integer node, which all of them have: i8 or i16.
Dtype activation_dtype(const Operands& operands) {
  const Value& x = operands[0];
  check(x.dtype == Dtype::i8 || x.dtype == Dtype::i16, "input must be i8 or i16, given {}", type_text(x));
  return x.dtype;
}

/// Sum of the magnitudes of the weights of a channel.
std::int64_t weight_sum(const Value& weight, std::int64_t channel) {
  const auto taps = static_cast<std::size_t>(weight.shape.size() / weight.shape[0]);
  std::int64_t sum = 0;
  for (std::int8_t w : weight.elements<std::int8_t>().subspan(static_cast<std::size_t>(channel) * taps, taps))
    sum += std::abs(std::int64_t{w});
  return sum;
}

/// Largest |sum of products + bias| that a channel can reach: no input drives the accumulator out of 32 bits.
std::int64_t accumulator_bound(const Value& weight, const Value* bias, std::int64_t channel) {
  std::int64_t bound = 255 * weight_sum(weight, channel);
  if (bias != nullptr)
    bound += std::abs(std::int64_t{bias->elements<std::int32_t>()[static_cast<std::size_t>(channel)]});
  return bound;
}

/// The same with 16-bit inputs and a 64-bit bias.
double wide_accumulator_bound(const Value& weight, const Value* bias, std::int64_t channel) {
  double bound = 32768. * static_cast<double>(weight_sum(weight, channel));
  if (bias != nullptr)
    bound += std::abs(static_cast<double>(bias->elements<std::int64_t>()[static_cast<std::size_t>(channel)]));
  return bound;
}

void verify_weight(const Value& weight) {
  check_dtype("weight", weight, Dtype::i8);
  check(weight.is_constant(), "an i8 weight must be a constant");
  check(weight.quantization->zero_point == 0, "weight must have zero point 0");
  check(std::ranges::min(weight.elements<std::int8_t>()) >= -127, "weight has an element below -127");
}

/// Convolution or linear layer with activations of 8 or 16 bits.
void verify_weighted(const Operands& operands, Activation activation) {
  const Value &x = operands[0], &weight = operands[1], &y = operands.output();
  const bool wide = activation_dtype(operands) == Dtype::i16;
  check_dtype("output", y, x.dtype);
  check_per_tensor("input", x);
  check_per_tensor("output", y);
  verify_weight(weight);
  check(is_clamp(activation), "activation {} is not possible in integers", to_string(activation));
  const Value* bias = operands.size() > 2 ? &operands[2] : nullptr;
  const std::size_t scales = weight.quantization->scale.size();
  if (bias != nullptr) {
    check_dtype("bias", *bias, wide ? Dtype::i64 : Dtype::i32);
    check(bias->is_constant(), "an integer bias must be a constant");
    check(bias->quantization->scale.size() == scales, "bias has {} scales, weight has {}",
          bias->quantization->scale.size(), scales);
    for (std::size_t c = 0; c < scales; ++c)
      check(bias->quantization->scale[c] == scale_of(x) * weight.quantization->scale[c],
            "scale {} of the bias is {}, input times weight scale is {}", c, bias->quantization->scale[c],
            scale_of(x) * weight.quantization->scale[c]);
  }
  for (std::int64_t c = 0; c < weight.shape[0]; ++c) {
    const double factor =
        static_cast<double>(scale_of(x)) * scale_at(weight, static_cast<std::size_t>(c)) / scale_of(y);
    if (wide)
      check_wide_rescaling(factor, wide_accumulator_bound(weight, bias, c));
    else
      check_rescaling(factor, accumulator_bound(weight, bias, c));
  }
}

/// Convolution or linear layer with an i8 weight that quantizes its f32 input as it runs.
void verify_dynamic(const Operands& operands) {
  const Value& weight = operands[1];
  check_dtype("input", operands[0], Dtype::f32);
  check_dtype("output", operands.output(), Dtype::f32);
  verify_weight(weight);
  if (operands.size() > 2) {
    check_dtype("bias", operands[2], Dtype::f32);
    check(operands[2].is_constant(), "the bias beside an i8 weight must be a constant");
  }
  for (std::int64_t c = 0; c < weight.shape[0]; ++c)
    check(accumulator_bound(weight, nullptr, c) <= kMaxAccumulator,
          "an accumulator of up to {} does not fit into 32 bits", accumulator_bound(weight, nullptr, c));
}

/// Ops that hand numbers on: input and output have the same parameters.
void verify_same_parameters(const Operands& operands) {
  const Value& y = operands.output();
  const Dtype dtype = activation_dtype(operands);
  check_dtype("output", y, dtype);
  for (std::size_t i = 0; i < operands.size(); ++i) {
    check_dtype("input", operands[i], dtype);
    check_per_tensor("input", operands[i]);
    check(operands[i].quantization == y.quantization,
          "input and output must have the same parameters, given {} and {}", type_text(operands[i]),
          type_text(y));
  }
}

/// Ops whose output has parameters of its own.
void verify_own_parameters(const Operands& operands) {
  const Dtype dtype = activation_dtype(operands);
  check_dtype("output", operands.output(), dtype);
  check_per_tensor("output", operands.output());
  for (std::size_t i = 0; i < operands.size(); ++i) {
    check_dtype("input", operands[i], dtype);
    check_per_tensor("input", operands[i]);
  }
}

bool is_wide(const Operands& operands) { return operands[0].dtype == Dtype::i16; }

void verify_fixed_output(const Op& op, const Operands& operands) {
  verify_own_parameters(operands);
  const Quantization fixed = *fixed_parameters(op, is_wide(operands) ? 16 : 8);
  check(operands.output().quantization == fixed, "output must have scale {} zero {}, given {}",
        fixed.scale[0], fixed.zero_point, type_text(operands.output()));
}

/// Integer form of each op. Ops without an overload have none.
template <typename SomeOp>
void verify_integer(const SomeOp&, const Operands&) {
  fail("there is no integer form of it");
}
void verify_integer(const Conv2d& op, const Operands& operands) { verify_weighted(operands, op.activation); }
void verify_integer(const Linear& op, const Operands& operands) { verify_weighted(operands, op.activation); }
void verify_integer(const MaxPool2d&, const Operands& operands) { verify_same_parameters(operands); }
void verify_integer(const AvgPool2d&, const Operands& operands) {
  verify_same_parameters(operands);
  const Shape& x = operands[0].shape;
  check(is_wide(operands) || x[1] * x[2] <= kMaxAccumulator / 256,
        "an image of {} is too large to be summed in 32 bits", to_string(x));
}
void verify_integer(const Reshape&, const Operands& operands) { verify_same_parameters(operands); }
void verify_integer(const Concat&, const Operands& operands) { verify_same_parameters(operands); }
void verify_integer(const Pad&, const Operands& operands) { verify_same_parameters(operands); }
void verify_integer(const GlobalAvgPool&, const Operands& operands) {
  verify_own_parameters(operands);
  const Shape& x = operands[0].shape;
  const double count = static_cast<double>(x[1]) * static_cast<double>(x[2]);
  const double factor = static_cast<double>(scale_of(operands[0])) / (count * scale_of(operands.output()));
  if (is_wide(operands)) return check_wide_rescaling(factor, 32768 * count);
  check(count <= static_cast<double>(kMaxAccumulator / 256),
        "an image of {} is too large to be summed in 32 bits", to_string(x));
  check_rescaling(factor, 255 * x[1] * x[2]);
}
void verify_integer(const Add& op, const Operands& operands) {
  verify_own_parameters(operands);
  check(is_clamp(op.activation), "activation {} is not possible in integers", to_string(op.activation));
  const double larger = std::max(scale_of(operands[0]), scale_of(operands[1]));
  // Inputs are aligned with 20 fractional bits (30 for 16-bit ones) before they are added; the result is only
  // ever scaled down.
  check(
      larger * 2 < std::ldexp(static_cast<double>(scale_of(operands.output())), is_wide(operands) ? 30 : 20),
      "output scale {} is too small for inputs of scale {}", scale_of(operands.output()), larger);
}
void verify_integer(const Multiply&, const Operands& operands) {
  verify_own_parameters(operands);
  const double factor =
      static_cast<double>(scale_of(operands[0])) * scale_of(operands[1]) / scale_of(operands.output());
  if (is_wide(operands))
    check_wide_rescaling(factor, 32768. * 32768);
  else
    check_rescaling(factor, 255 * 255);
}
void verify_integer(const Softmax& op, const Operands& operands) { verify_fixed_output(op, operands); }
void verify_integer(const LogSoftmax& op, const Operands& operands) { verify_fixed_output(op, operands); }
void verify_integer(const Activate& op, const Operands& operands) {
  if (op.activation == Activation::sigmoid)
    verify_fixed_output(op, operands);
  else
    verify_own_parameters(operands);
}

/// f32, or a constant that is stored as f16.
bool is_real(const Value& value) {
  return value.dtype == Dtype::f32 || (value.dtype == Dtype::f16 && value.is_constant());
}

void verify_float(const Operands& operands) {
  check_dtype("output", operands.output(), Dtype::f32);
  for (std::size_t i = 0; i < operands.size(); ++i)
    if (!is_real(operands[i])) check_dtype("inputs", operands[i], Dtype::f32);
}

/// Between u8 and i8 of the same numbers: a shift by 128.
void check_shifted(const Value& u8, const Value& i8) {
  check(u8.quantization == Quantization{{scale_of(i8)}, i8.quantization->zero_point + 128},
        "u8 and i8 must have the same scale and zero points 128 apart, given {} and {}", type_text(u8),
        type_text(i8));
}

void verify_quantize(const Operands& operands) {
  const Value &x = operands[0], &y = operands.output();
  if (x.dtype == Dtype::f32 && y.dtype == Dtype::i16) return check_per_tensor("output", y);
  check_dtype("output", y, Dtype::i8);
  check_per_tensor("output", y);
  if (x.dtype == Dtype::u8)
    check_shifted(x, y);
  else
    check_dtype("input", x, Dtype::f32);
}

void verify_dequantize(const Operands& operands) {
  const Value &x = operands[0], &y = operands.output();
  activation_dtype(operands);
  check_per_tensor("input", x);
  if (x.dtype == Dtype::i8 && y.dtype == Dtype::u8) {
    check_per_tensor("output", y);
    check_shifted(y, x);
  } else {
    check_dtype("output", y, Dtype::f32);
  }
}

struct IntegerRange {
  std::int32_t low, high;
};

/// Possible zero points.
IntegerRange zero_points(Dtype dtype) {
  if (dtype == Dtype::i8) return {-128, 127};
  if (dtype == Dtype::u8) return {0, 255};
  return {0, 0};
}

void verify_quantization(const Value& value) {
  const Quantization& q = *value.quantization;
  const IntegerRange range = zero_points(value.dtype);
  check(q.zero_point >= range.low && q.zero_point <= range.high, "zero point {} is not possible with {}",
        q.zero_point, to_string(value.dtype));
  const bool per_channel = q.scale.size() != 1;
  check(!per_channel || (value.is_constant() && value.shape.rank() >= 1 && q.zero_point == 0 &&
                         q.scale.size() == static_cast<std::size_t>(value.shape[0])),
        "{} scales and zero point {} do not fit {}{}", q.scale.size(), q.zero_point, to_string(value.dtype),
        to_string(value.shape));
  for (float scale : q.scale)
    check(std::isnormal(scale) && scale > 0, "scale {} must be positive, finite and not denormal", scale);
}

}  // namespace

void verify_value(const Value& value, ValueId id) {
  try {
    if (value.is_constant()) {
      const std::size_t size = size_of(value.dtype), bytes = value.data->bytes().size();
      check(bytes % size == 0 && bytes / size == static_cast<std::size_t>(value.shape.size()),
            "constant of {}{} has {} bytes", to_string(value.dtype), to_string(value.shape), bytes);
      check(bytes > 0, "constant of {}{} is empty", to_string(value.dtype), to_string(value.shape));
    }
    const bool real = is_real(value);
    const bool integer = value.dtype == Dtype::i8 || value.dtype == Dtype::u8 || value.dtype == Dtype::i16 ||
                         ((value.dtype == Dtype::i32 || value.dtype == Dtype::i64) && value.is_constant());
    check(real || integer, "no op takes {}{}", value.is_constant() ? "constants of " : "",
          to_string(value.dtype));
    check(value.quantization.has_value() == integer, "{} must {}have quantization parameters",
          to_string(value.dtype), integer ? "" : "not ");
    if (integer) verify_quantization(value);
  } catch (const Error& error) {
    fail("value {}{}{}: {}", id, value.name.empty() ? "" : " ", value.name, error.what());
  }
}

void verify_types(const Graph& graph, const Node& node) {
  const Operands operands{graph, node};
  if (std::holds_alternative<Quantize>(node.op)) return verify_quantize(operands);
  if (std::holds_alternative<Dequantize>(node.op)) return verify_dequantize(operands);
  const bool weighted = std::holds_alternative<Conv2d>(node.op) || std::holds_alternative<Linear>(node.op);
  if (is_real(operands[0]))
    return weighted && operands[1].dtype == Dtype::i8 ? verify_dynamic(operands) : verify_float(operands);
  std::visit([&](const auto& op) { verify_integer(op, operands); }, node.op);
}

}  // namespace lathe::graph
