#include "graphs.h"

#include <lathe/base/error.h>

#include <cmath>

namespace graphs {

using namespace lathe::graph;

namespace {

std::optional<Quantization> fitting(Dtype dtype, std::optional<Quantization> quantization) {
  if (dtype == Dtype::i16 && quantization) return Quantization{{quantization->scale[0] / 128}, 0};
  return quantization;
}

}  // namespace

ValueId Maker::input(Shape shape, Dtype dtype, std::optional<Quantization> quantization) {
  const bool wide = dtype == Dtype::i16;
  const ValueId id =
      graph_.add_input("x" + std::to_string(graph_.inputs().size()), shape, wide ? Dtype::f32 : dtype);
  if (wide) return quantize(id, dtype, {{quantization->scale[0] / 8}, 0}, "codes");
  graph_.value(id).quantization = std::move(quantization);
  return id;
}

ValueId Maker::constant(const std::string& name, Shape shape, float low, float high) {
  std::vector<float> elements(static_cast<std::size_t>(shape.size()));
  rng_.fill_uniform(elements, low, high);
  return graph_.add_constant(name, shape, elements);
}

ValueId Maker::weight_i8(const std::string& name, Shape shape, bool per_channel) {
  std::vector<std::int8_t> elements(static_cast<std::size_t>(shape.size()));
  for (auto& element : elements) element = static_cast<std::int8_t>(static_cast<int>(rng_.below(255)) - 127);
  Quantization quantization;
  for (std::int64_t o = 0; o < (per_channel ? shape[0] : 1); ++o)
    quantization.scale.push_back(rng_.uniform(0.002f, 0.004f));
  return graph_.add_constant({.name = name,
                              .shape = shape,
                              .dtype = Dtype::i8,
                              .quantization = quantization,
                              .data = ConstantData::copy(std::as_bytes(std::span(elements)))});
}

ValueId Maker::bias(const std::string& name, ValueId input, ValueId weight) {
  const Value &x = graph_.value(input), &w = graph_.value(weight);
  Quantization quantization;
  for (const float scale : w.quantization->scale)
    quantization.scale.push_back(x.quantization->scale[0] * scale);
  const auto add = [&]<typename T>(T largest) {
    std::vector<T> elements(static_cast<std::size_t>(w.shape[0]));
    for (T& element : elements)
      element = static_cast<T>(rng_.below(static_cast<std::uint32_t>(2 * largest + 1))) - largest;
    return graph_.add_constant({.name = name,
                                .shape = {w.shape[0]},
                                .dtype = lathe::DtypeOf<T>::value,
                                .quantization = quantization,
                                .data = ConstantData::copy(std::as_bytes(std::span(elements)))});
  };
  return x.dtype == Dtype::i16 ? add(std::int64_t{500'000}) : add(std::int32_t{4000});
}

ValueId Maker::weighted(Op op, ValueId x, Shape weight, const std::string& name, bool bias) {
  const Value source = graph_.value(x);
  if (source.dtype == Dtype::f32) {
    const float bound = 1.f / std::sqrt(static_cast<float>(weight.size() / weight[0]));
    std::vector<ValueId> inputs = {x, constant(name + ".weight", weight, -bound, bound)};
    if (bias) inputs.push_back(constant(name + ".bias", {weight[0]}, -0.5f, 0.5f));
    return graph_.add_node(std::move(op), inputs, name);
  }
  std::vector<ValueId> inputs = {x, weight_i8(name + ".weight", weight)};
  if (bias) inputs.push_back(this->bias(name + ".bias", x, inputs[1]));
  // The deviation of a sum of n products of uniform codes is about 73 * 73 * sqrt(n); three deviations fill
  // the range.
  const float n = static_cast<float>(weight.size() / weight[0]);
  const float x_scale = source.quantization->scale[0] * (source.dtype == Dtype::i16 ? 256.f : 1.f);
  const float scale = x_scale * 0.003f * 73 * 73 * std::sqrt(n) * 3 / 128;
  const bool positive = std::visit(
      [](const auto& some) {
        if constexpr (requires { some.activation; }) return some.activation != Activation::none;
        return false;
      },
      op);
  const Quantization quantization = codes(positive ? scale / 2 : scale, positive ? -128 : 7);
  return graph_.add_node(std::move(op), inputs, name, source.dtype, fitting(source.dtype, quantization));
}

ValueId Maker::node(Op op, std::vector<ValueId> inputs, const std::string& name,
                    std::optional<Quantization> quantization) {
  const Value source = graph_.value(inputs[0]);
  const bool leaves = std::holds_alternative<Dequantize>(op), enters = std::holds_alternative<Quantize>(op);
  if (enters) return quantize(inputs[0], Dtype::i8, *quantization, name);
  const Dtype dtype = leaves ? Dtype::f32 : source.dtype;
  quantization = leaves || dtype == Dtype::f32 ? std::nullopt
                 : quantization                ? fitting(dtype, quantization)
                                               : source.quantization;
  return graph_.add_node(std::move(op), std::move(inputs), name, dtype, quantization);
}

ValueId Maker::quantize(ValueId x, Dtype dtype, Quantization quantization, const std::string& name) {
  return graph_.add_node(Quantize{}, {x}, name, dtype, fitting(dtype, quantization));
}

std::vector<std::byte> random_bytes(Dtype dtype, std::int64_t elements, std::uint64_t seed) {
  Rng rng(seed, 77);
  std::vector<std::byte> bytes(static_cast<std::size_t>(elements) * lathe::size_of(dtype));
  if (dtype == Dtype::f32) {
    std::vector<float> values(static_cast<std::size_t>(elements));
    rng.fill_uniform(values, -2, 2);
    if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  } else {
    for (auto& byte : bytes) byte = static_cast<std::byte>(rng.below(256));
  }
  return bytes;
}

std::vector<std::byte> run(const Graph& graph, const lathe::runtime::PlanOptions& options, std::uint64_t seed,
                           std::string* kernels) {
  lathe::runtime::Plan plan(graph, options);
  const auto fill = [&](std::size_t i, auto span) {
    const auto bytes = random_bytes(plan.input_dtype(i), static_cast<std::int64_t>(span.size()), seed + i);
    std::memcpy(span.data(), bytes.data(), bytes.size());
  };
  for (std::size_t i = 0; i < plan.inputs(); ++i) {
    if (plan.input_dtype(i) == Dtype::f32) fill(i, plan.input<float>(i));
    if (plan.input_dtype(i) == Dtype::i8) fill(i, plan.input<std::int8_t>(i));
    if (plan.input_dtype(i) == Dtype::u8) fill(i, plan.input<std::uint8_t>(i));
  }
  plan.run();
  if (kernels != nullptr)
    for (const auto& step : plan.steps()) *kernels += step.kernel + " ";
  const auto copy = [](auto span) {
    const auto bytes = std::as_bytes(span);
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  };
  return plan.output_dtype() == Dtype::f32 ? copy(plan.output<float>()) : copy(plan.output<std::int8_t>());
}

std::vector<float> floats(const std::vector<std::byte>& bytes) {
  std::vector<float> result(bytes.size() / sizeof(float));
  if (!bytes.empty()) std::memcpy(result.data(), bytes.data(), bytes.size());
  return result;
}

namespace {

/// The border of an integer model: f32 in ...
ValueId start(Maker& maker, Dtype dtype) {
  const ValueId x = maker.input({1, 28, 28, 1});
  return dtype == Dtype::f32 ? x : maker.quantize(x, dtype, codes(4.f / 255, 0), "input");
}

/// ... and f32 out.
Graph end(Maker& maker, Dtype dtype, ValueId logits) {
  return maker.finish(dtype == Dtype::f32 ? logits : maker.node(Dequantize{}, {logits}, "output"));
}

const Conv2d kValid{.activation = Activation::relu};
const Conv2d kSame{.padding = Padding::same(), .activation = Activation::relu};
const Conv2d kHalf{.stride_h = 2, .stride_w = 2, .padding = Padding::same(), .activation = Activation::relu};

Conv2d depthwise(Conv2d conv, int channels) {
  conv.groups = channels;
  return conv;
}

}  // namespace

Graph tutorial(Dtype dtype) {
  Maker maker(1);
  ValueId x = start(maker, dtype);
  x = maker.weighted(kValid, x, {12, 3, 3, 1}, "conv");
  x = maker.node(MaxPool2d{}, {x}, "pool");
  x = maker.node(Reshape{{2028}}, {x}, "flatten");
  return end(maker, dtype, maker.weighted(Linear{}, x, {10, 2028}, "linear"));
}

Graph conv(Dtype dtype) {
  Maker maker(2);
  ValueId x = start(maker, dtype);
  x = maker.weighted(kValid, x, {32, 3, 3, 1}, "conv1");
  x = maker.node(MaxPool2d{}, {x}, "pool1");
  x = maker.weighted(kValid, x, {64, 3, 3, 32}, "conv2");
  x = maker.node(MaxPool2d{}, {x}, "pool2");
  x = maker.node(Reshape{{1600}}, {x}, "flatten");
  return end(maker, dtype, maker.weighted(Linear{}, x, {10, 1600}, "linear"));
}

Graph dscnn(Dtype dtype) {
  Maker maker(3);
  ValueId x = start(maker, dtype);
  x = maker.weighted(kHalf, x, {12, 3, 3, 1}, "stem");
  x = maker.weighted(depthwise(kSame, 12), x, {12, 3, 3, 1}, "depthwise1");
  x = maker.weighted(kSame, x, {16, 1, 1, 12}, "pointwise1");
  x = maker.weighted(depthwise(kHalf, 16), x, {16, 3, 3, 1}, "depthwise2");
  x = maker.weighted(kSame, x, {24, 1, 1, 16}, "pointwise2");
  std::optional<Quantization> pooled;
  if (dtype != Dtype::f32)
    pooled = codes(maker.graph().value(x).quantization->scale[0] * (dtype == Dtype::i16 ? 32 : 0.25f), -128);
  x = maker.node(GlobalAvgPool{}, {x}, "pool", pooled);
  return end(maker, dtype, maker.weighted(Linear{}, x, {10, 24}, "linear"));
}

Graph large(Dtype dtype) {
  Maker maker(5);
  ValueId x =
      dtype == Dtype::f32 ? maker.input({1, 61, 63, 24}) : maker.input({1, 61, 63, 24}, dtype, codes());
  x = maker.weighted(kSame, x, {24, 3, 3, 24});
  x = maker.weighted(Conv2d{.stride_h = 2, .stride_w = 2, .padding = Padding::same(), .groups = 24}, x,
                     {24, 3, 3, 1});
  x = maker.weighted(Conv2d{}, x, {160, 1, 1, 24});
  return maker.finish(x);
}

Graph pruned(Graph graph, double zeros, std::uint64_t seed) {
  Rng rng(seed);
  for (std::size_t i = 0; i < graph.values().size(); ++i) {
    Value& value = graph.value(static_cast<ValueId>(i));
    if (!value.is_constant() || !value.name.ends_with(".weight") || value.dtype != Dtype::f32) continue;
    std::vector<float> elements(value.elements<float>().begin(), value.elements<float>().end());
    for (float& element : elements)
      if (static_cast<double>(rng.uniform()) < zeros) element = 0;
    value.data = ConstantData::copy(std::as_bytes(std::span(elements)));
  }
  return graph;
}

namespace {

template <typename T>
void clear_blocks(Value& weight, double zeros, Rng& rng) {
  const auto outputs = static_cast<std::size_t>(weight.shape[0]);
  std::vector<T> elements(weight.elements<T>().begin(), weight.elements<T>().end());
  const std::size_t inputs = elements.size() / outputs;
  for (std::size_t o = 0; o < outputs; o += 16)
    for (std::size_t i = 0; i < inputs; i += 4)
      if (static_cast<double>(rng.uniform()) < zeros)
        for (std::size_t row = o; row < std::min(o + 16, outputs); ++row)
          std::fill_n(elements.begin() + static_cast<std::ptrdiff_t>(row * inputs + i),
                      std::min<std::size_t>(4, inputs - i), T{0});
  weight.data = ConstantData::copy(std::as_bytes(std::span(elements)));
}

}  // namespace

Graph pruned_blocks(Graph graph, double zeros, std::uint64_t seed) {
  Rng rng(seed);
  for (std::size_t i = 0; i < graph.values().size(); ++i) {
    Value& value = graph.value(static_cast<ValueId>(i));
    if (!value.is_constant() || !value.name.ends_with(".weight")) continue;
    if (value.dtype == Dtype::f32) clear_blocks<float>(value, zeros, rng);
    if (value.dtype == Dtype::i8) clear_blocks<std::int8_t>(value, zeros, rng);
  }
  return graph;
}

Graph one_layer(Dtype dtype, const Op& op, const Shape& in, const Shape& weight, bool pool, bool bias) {
  Maker maker(static_cast<std::uint64_t>(in.size() + weight.size()));
  const ValueId x = dtype == Dtype::f32 ? maker.input(in) : maker.input(in, dtype, codes());
  ValueId y = maker.weighted(op, x, weight, "layer", bias);
  if (pool) y = maker.node(MaxPool2d{}, {y});
  return maker.finish(y);
}

std::vector<lathe::runtime::Level> fast_levels() {
  using lathe::runtime::Level;
  std::vector<Level> levels;
  for (const Level level : {Level::portable, Level::avx2, Level::avx512})
    if (level <= lathe::runtime::best_level()) levels.push_back(level);
  return levels;
}

}  // namespace graphs
