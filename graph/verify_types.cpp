#include "verify.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace lathe::graph {
namespace {

constexpr std::int64_t kMaxAccumulator = std::numeric_limits<std::int32_t>::max();

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

/// Largest |sum of products + bias| that a channel can reach: no input drives the accumulator out of 32 bits.
std::int64_t accumulator_bound(const Value& weight, const Value* bias, std::int64_t channel) {
  const auto taps = static_cast<std::size_t>(weight.shape.size() / weight.shape[0]);
  std::int64_t bound = 0;
  for (std::int8_t w : weight.elements<std::int8_t>().subspan(static_cast<std::size_t>(channel) * taps, taps))
    bound += std::abs(std::int64_t{w});
  bound *= 255;
  if (bias != nullptr)
    bound += std::abs(std::int64_t{bias->elements<std::int32_t>()[static_cast<std::size_t>(channel)]});
  return bound;
}

/// Convolution or linear layer in 8 bits.
void verify_weighted(const Operands& operands, Activation activation) {
  const Value &x = operands[0], &weight = operands[1], &y = operands.output();
  check_dtype("output", y, Dtype::i8);
  check_dtype("weight", weight, Dtype::i8);
  check_per_tensor("input", x);
  check_per_tensor("output", y);
  check(weight.is_constant(), "an i8 weight must be a constant");
  check(weight.quantization->zero_point == 0, "weight must have zero point 0");
  check(std::ranges::min(weight.elements<std::int8_t>()) >= -127, "weight has an element below -127");
  check(is_clamp(activation), "activation {} is not possible in integers", to_string(activation));
  const Value* bias = operands.size() > 2 ? &operands[2] : nullptr;
  const std::size_t scales = weight.quantization->scale.size();
  if (bias != nullptr) {
    check_dtype("bias", *bias, Dtype::i32);
    check(bias->is_constant(), "an i32 bias must be a constant");
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
    check_rescaling(factor, accumulator_bound(weight, bias, c));
  }
}

/// Ops that hand numbers on: input and output have the same parameters.
void verify_same_parameters(const Operands& operands) {
  const Value& y = operands.output();
  check_dtype("output", y, Dtype::i8);
  for (std::size_t i = 0; i < operands.size(); ++i) {
    check_dtype("input", operands[i], Dtype::i8);
    check_per_tensor("input", operands[i]);
    check(operands[i].quantization == y.quantization,
          "input and output must have the same parameters, given {} and {}", type_text(operands[i]),
          type_text(y));
  }
}

/// Ops whose output has parameters of its own.
void verify_own_parameters(const Operands& operands) {
  check_dtype("output", operands.output(), Dtype::i8);
  check_per_tensor("output", operands.output());
  for (std::size_t i = 0; i < operands.size(); ++i) {
    check_dtype("input", operands[i], Dtype::i8);
    check_per_tensor("input", operands[i]);
  }
}

void verify_fixed_output(const Operands& operands, float scale, std::int32_t zero_point) {
  verify_own_parameters(operands);
  check(operands.output().quantization == Quantization{{scale}, zero_point},
        "output must have scale {} zero {}, given {}", scale, zero_point, type_text(operands.output()));
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
  check(x[1] * x[2] <= kMaxAccumulator / 256, "an image of {} is too large to be summed in 32 bits",
        to_string(x));
}
void verify_integer(const Reshape&, const Operands& operands) { verify_same_parameters(operands); }
void verify_integer(const Concat&, const Operands& operands) { verify_same_parameters(operands); }
void verify_integer(const Pad&, const Operands& operands) { verify_same_parameters(operands); }
void verify_integer(const GlobalAvgPool&, const Operands& operands) {
  verify_own_parameters(operands);
  const Shape& x = operands[0].shape;
  const double count = static_cast<double>(x[1]) * static_cast<double>(x[2]);
  check(count <= static_cast<double>(kMaxAccumulator / 256),
        "an image of {} is too large to be summed in 32 bits", to_string(x));
  check_rescaling(static_cast<double>(scale_of(operands[0])) / (count * scale_of(operands.output())),
                  255 * x[1] * x[2]);
}
void verify_integer(const Add& op, const Operands& operands) {
  verify_own_parameters(operands);
  check(is_clamp(op.activation), "activation {} is not possible in integers", to_string(op.activation));
  const double larger = std::max(scale_of(operands[0]), scale_of(operands[1]));
  // Inputs are aligned with 20 fractional bits before they are added; the result is only ever scaled down.
  check(larger * 2 < std::ldexp(static_cast<double>(scale_of(operands.output())), 20),
        "output scale {} is too small for inputs of scale {}", scale_of(operands.output()), larger);
}
void verify_integer(const Multiply&, const Operands& operands) {
  verify_own_parameters(operands);
  check_rescaling(
      static_cast<double>(scale_of(operands[0])) * scale_of(operands[1]) / scale_of(operands.output()),
      255 * 255);
}
void verify_integer(const Softmax&, const Operands& operands) {
  verify_fixed_output(operands, 1.f / 256, -128);
}
void verify_integer(const LogSoftmax&, const Operands& operands) {
  verify_fixed_output(operands, 16.f / 256, 127);
}
void verify_integer(const Activate& op, const Operands& operands) {
  if (op.activation == Activation::sigmoid)
    verify_fixed_output(operands, 1.f / 256, -128);
  else
    verify_own_parameters(operands);
}

void verify_float(const Operands& operands) {
  check_dtype("output", operands.output(), Dtype::f32);
  for (std::size_t i = 0; i < operands.size(); ++i) check_dtype("inputs", operands[i], Dtype::f32);
}

void verify_quantize(const Operands& operands) {
  const Value &x = operands[0], &y = operands.output();
  check_dtype("output", y, Dtype::i8);
  check_per_tensor("output", y);
  if (x.dtype == Dtype::u8) {
    check(x.quantization == Quantization{{scale_of(y)}, y.quantization->zero_point + 128},
          "u8 to i8 must keep the scale and shift the zero point by 128, given {} and {}", type_text(x),
          type_text(y));
  } else {
    check_dtype("input", x, Dtype::f32);
  }
}

void verify_dequantize(const Operands& operands) {
  check_dtype("input", operands[0], Dtype::i8);
  check_per_tensor("input", operands[0]);
  check_dtype("output", operands.output(), Dtype::f32);
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
    const bool real = value.dtype == Dtype::f32;
    const bool integer = value.dtype == Dtype::i8 || value.dtype == Dtype::u8 ||
                         (value.dtype == Dtype::i32 && value.is_constant());
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
  const bool integer = operands[0].dtype != Dtype::f32;
  if (!integer) return verify_float(operands);
  std::visit([&](const auto& op) { verify_integer(op, operands); }, node.op);
}

}  // namespace lathe::graph
