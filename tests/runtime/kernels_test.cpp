#include "../../runtime/kernel_table.h"
#include "../../runtime/program.h"
#include "graphs.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <sstream>

using namespace graphs;
using namespace lathe::graph;
using lathe::runtime::Level;

namespace {

/// One op in the middle of nothing else, so that its kernel is what a plan consists of.
struct Case {
  std::string name;
  std::function<Graph(Maker&, Dtype)> make;
  std::vector<Dtype> dtypes = {Dtype::f32, Dtype::i8, Dtype::i16};
  /// Largest difference of a float level from the reference, relative to the largest output or to 1: inputs
  /// are within
  /// +-2 and sums of up to some thousand terms in another order differ by a few roundings of 2^-24 of their
  /// parts.
  float tolerance = 2e-6f;
};

ValueId image(Maker& maker, Dtype dtype, Shape shape, Quantization quantization = codes()) {
  return dtype == Dtype::f32 ? maker.input(shape) : maker.input(shape, dtype, quantization);
}

std::string text(const Shape& shape) { return lathe::to_string(shape); }

/// Odd shapes, tails of every kind, borders, strides and groups.
std::vector<Case> conv_cases() {
  std::vector<Case> cases;
  const auto add = [&](Conv2d conv, Shape in, Shape weight, bool bias = true) {
    cases.push_back(
        {lathe::graph::to_string(conv) + " " + text(in) + " " + text(weight), [=](Maker& maker, Dtype dtype) {
           const ValueId x = image(maker, dtype, in);
           return maker.finish(maker.weighted(conv, x, weight, "conv", bias));
         }});
  };
  for (const int in : {1, 3, 5, 12, 17, 64}) {
    for (const int out : {1, 3, 12, 16, 17, 33, 64}) {
      add({.activation = Activation::relu}, {1, 7, 9, in}, {out, 3, 3, in});
      add({.stride_w = 2, .padding = Padding::same()}, {1, 6, 8, in}, {out, 3, 3, in});
      add({.activation = Activation::relu6}, {1, 3, 5, in}, {out, 1, 1, in}, false);
    }
  }
  for (const int width : {1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 14, 23, 24, 25, 26, 28, 37})
    add({.padding = Padding::same()}, {1, 3, width, 4}, {20, 3, 3, 4});
  add({.stride_h = 2, .stride_w = 2, .padding = Padding::same(), .activation = Activation::relu},
      {1, 28, 28, 1}, {12, 3, 3, 1});
  add({.stride_h = 3, .stride_w = 2, .padding = Padding::symmetric(2)}, {1, 9, 11, 6}, {18, 5, 4, 6});
  add({.padding = Padding::symmetric(1)}, {1, 5, 4, 8}, {16, 1, 1, 8});
  add({.stride_h = 2, .stride_w = 2}, {1, 9, 9, 8}, {24, 1, 1, 8});
  add({}, {1, 4, 4, 3}, {5, 4, 4, 3});
  for (const int groups : {2, 3, 6}) {
    for (const int per_group : {1, 2, 17}) {
      add({.padding = Padding::same(), .groups = groups}, {1, 5, 6, 12},
          {groups * per_group, 3, 3, 12 / groups});
      add({.groups = groups}, {1, 3, 3, 12}, {groups * per_group, 1, 1, 12 / groups});
    }
  }
  add({.padding = Padding::same(), .groups = 4}, {1, 5, 6, 4}, {8, 3, 3, 1});  // two outputs a channel
  // Sums of 16-bit codes beyond 32 bits, in rows of the window longer than 32 bits hold, too.
  add({.padding = Padding::same()}, {1, 4, 5, 150}, {35, 3, 3, 150});
  add({}, {1, 3, 3, 1101}, {17, 1, 1, 1101});
  add({.groups = 2, .activation = Activation::relu}, {1, 2, 3, 2400}, {6, 1, 1, 1200});
  for (const int channels : {2, 3, 5, 12, 16, 17, 48, 64, 100}) {
    for (const int kernel : {1, 2, 3, 5, 9}) {
      add({.padding = Padding::same(), .groups = channels}, {1, 10, 11, channels},
          {channels, kernel, kernel, 1});
      add({.stride_h = 2,
           .stride_w = 2,
           .padding = Padding::same(),
           .groups = channels,
           .activation = Activation::relu},
          {1, 10, 9, channels}, {channels, kernel, kernel, 1});
    }
    add({.groups = channels, .activation = Activation::relu}, {1, 5, 17, channels}, {channels, 3, 2, 1},
        false);
  }
  return cases;
}

/// A convolution and the pool after it.
std::vector<Case> pooled_cases() {
  std::vector<Case> cases;
  const auto add = [&](Conv2d conv, MaxPool2d pool, Shape in, Shape weight) {
    cases.push_back({"pooled " + lathe::graph::to_string(conv) + " " + text(in) + " " + text(weight),
                     [=](Maker& maker, Dtype dtype) {
                       const ValueId y = maker.weighted(conv, image(maker, dtype, in), weight, "conv");
                       return maker.finish(maker.node(pool, {y}, "pool"));
                     }});
  };
  for (const int out : {1, 12, 16, 17, 32, 40, 64})
    for (const int width : {4, 5, 6, 9, 12, 14, 15, 28})
      add({.activation = Activation::relu}, {}, {1, 9, width, 3}, {out, 3, 3, 3});
  add({}, {}, {1, 28, 28, 1}, {12, 3, 3, 1});
  add({.stride_h = 2, .padding = Padding::same()}, {}, {1, 16, 16, 5}, {20, 3, 3, 5});
  add({.padding = Padding::same()}, {.padding = Padding::same()}, {1, 8, 8, 5}, {20, 3, 3, 5});
  add({.padding = Padding::same()}, {.padding = Padding::same()}, {1, 7, 7, 5}, {20, 3, 3, 5});
  add({}, {.kernel_h = 3, .kernel_w = 3}, {1, 9, 9, 5}, {20, 3, 3, 5});
  add({.groups = 2}, {}, {1, 9, 9, 6}, {20, 3, 3, 3});
  add({}, {}, {1, 9, 9, 6}, {20, 1, 1, 6});
  add({}, {}, {1, 6, 8, 210}, {20, 3, 3, 210});
  return cases;
}

std::vector<Case> other_cases() {
  std::vector<Case> cases;
  for (const int in : {1, 15, 16, 17, 63, 64, 65, 200, 1600}) {
    for (const int out : {1, 3, 10, 12, 13, 16, 40}) {
      for (const Activation activation : {Activation::none, Activation::relu}) {
        cases.push_back(
            {"linear " + std::to_string(in) + " " + std::to_string(out), [=](Maker& maker, Dtype dtype) {
               const ValueId x = image(maker, dtype, {1, in});
               return maker.finish(maker.weighted(Linear{activation}, x, {out, in}));
             }});
      }
    }
  }
  cases.push_back(
      {"linear of more inputs than 32 bits can sum",
       [](Maker& maker, Dtype dtype) {
         return maker.finish(maker.weighted(Linear{}, image(maker, dtype, {1, 18'001}), {13, 18'001}));
       },
       {Dtype::i16}});
  const auto unary = [&](const char* name, Op op, Shape shape, std::optional<Quantization> out = {},
                         std::vector<Dtype> dtypes = {Dtype::f32, Dtype::i8, Dtype::i16}) {
    cases.push_back({name + text(shape),
                     [=](Maker& maker, Dtype dtype) {
                       const ValueId x = image(maker, dtype, shape);
                       return maker.finish(
                           maker.node(op, {x}, name, dtype == Dtype::f32 ? std::nullopt : out));
                     },
                     dtypes});
  };
  for (const int channels : {1, 3, 5, 12, 17, 64}) {
    const Shape shape{1, 9, 7, channels};
    unary("max_pool", MaxPool2d{}, shape);
    unary("max_pool", MaxPool2d{3, 2, 1, 2, Padding::same()}, shape);
    unary("avg_pool", AvgPool2d{}, shape);
    unary("avg_pool", AvgPool2d{3, 3, 2, 1, Padding::same()}, shape);
    unary("global_avg_pool", GlobalAvgPool{}, shape, codes(0.02f, 3));
    unary("global_avg_pool", GlobalAvgPool{}, shape, codes(0.001f, -90));
    for (const Activation activation : {Activation::relu, Activation::relu6, Activation::silu})
      unary("activate", Activate{activation}, shape, codes(0.03f, -100));
    unary("sigmoid", Activate{Activation::sigmoid}, shape, Quantization{{1.f / 256}, -128});
    unary("softmax", Softmax{}, shape, Quantization{{1.f / 256}, -128});
    unary("log_softmax", LogSoftmax{}, shape, Quantization{{16.f / 256}, 127});
    unary("pad", Pad{1, 0, 2, 1}, shape);
    unary("reshape", Reshape{{63 * channels}}, shape);
    cases.push_back({"quantize" + text(shape),
                     [=](Maker& maker, Dtype dtype) {
                       return maker.finish(maker.quantize(maker.input(shape), dtype, codes(0.013f, -7)));
                     },
                     {Dtype::i8, Dtype::i16}});
    unary("dequantize", Dequantize{}, shape, {}, {Dtype::i8, Dtype::i16});
    cases.push_back({"shift" + text(shape),
                     [=](Maker& maker, Dtype) {
                       const ValueId x = maker.input(shape, Dtype::u8, codes(0.1f, 3));
                       return maker.finish(maker.node(Quantize{}, {x}, "q", codes(0.1f, -125)));
                     },
                     {Dtype::i8}});
    cases.push_back({"batch_norm" + text(shape),
                     [=](Maker& maker, Dtype) {
                       std::vector<ValueId> inputs = {maker.input(shape)};
                       for (const char* name : {"gamma", "beta", "mean", "variance"})
                         inputs.push_back(maker.constant(name, {channels}, 0.5f, 1.5f));
                       return maker.finish(maker.node(BatchNorm{.activation = Activation::relu}, inputs));
                     },
                     {Dtype::f32}});
    const auto binary = [&](const char* name, Op op, Shape b, Quantization second = codes(0.03f, 20)) {
      cases.push_back({name + text(shape), [=](Maker& maker, Dtype dtype) {
                         const ValueId x = image(maker, dtype, shape);
                         const ValueId y = image(maker, dtype, b, second);
                         return maker.finish(
                             maker.node(op, {x, y}, name,
                                        dtype == Dtype::f32 ? std::nullopt : std::optional(codes(0.06f, 4))));
                       }});
    };
    binary("add", Add{Activation::relu}, shape);
    binary("add", Add{}, shape);
    binary("add of equal scales", Add{Activation::relu}, shape, codes(0.05f, -3));
    binary("add of a coarser image", Add{}, shape, codes(0.11f, 90));
    binary("multiply", Multiply{}, shape);
    binary("multiply", Multiply{}, {1, channels});
    cases.push_back({"concat" + text(shape), [=](Maker& maker, Dtype dtype) {
                       const ValueId a = image(maker, dtype, shape), b = image(maker, dtype, {1, 9, 7, 5});
                       return maker.finish(maker.node(Concat{}, {a, b, a}));
                     }});
  }
  return cases;
}

void check_equal(const std::vector<std::byte>& given, const std::vector<std::byte>& expected, Dtype dtype,
                 float tolerance) {
  if (dtype != Dtype::f32) {  // of the codes that the kernel computed
    CHECK(given == expected);
    return;
  }
  const auto a = floats(given), b = floats(expected);
  REQUIRE(a.size() == b.size());
  float largest = 0, difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(b[i]));
    difference = std::max(difference, std::abs(a[i] - b[i]));
  }
  CHECK(difference <= tolerance * std::max(largest, 1.f));
}

void compare_levels(const std::vector<Case>& cases, std::set<std::string>& kernels) {
  std::uint64_t seed = 100;
  for (const Case& one : cases) {
    for (const Dtype in : one.dtypes) {
      ++seed;
      CAPTURE(one.name);
      CAPTURE(to_string(in));
      CAPTURE(seed);
      Maker maker(seed);
      const Graph graph = one.make(maker, in);

      for (const std::int64_t batch : {1, 3}) {
        CAPTURE(batch);
        const auto expected = run(graph, {.batch = batch, .level = Level::reference}, seed);
        for (const Level level : fast_levels()) {
          CAPTURE(to_string(level));
          std::string used;
          check_equal(run(graph, {.batch = batch, .level = level}, seed, &used), expected, in, one.tolerance);
          std::istringstream names(used);
          for (std::string name; names >> name;) kernels.insert(name);
        }
      }
    }
  }
}

}  // namespace

TEST_CASE("convolutions of every level equal the reference") {
  std::set<std::string> kernels;
  compare_levels(conv_cases(), kernels);
  for (const Level level : fast_levels())
    for (const char* name : {"conv2d_f32_", "conv2d_i8_", "conv2d_i16_", "conv2d_i16_wide_", "depthwise_f32_",
                             "depthwise_i8_", "depthwise_i16_"})
      CHECK(kernels.contains(std::string(name) + std::string(to_string(level))));
}

TEST_CASE("convolutions with a pool of every level equal the reference") {
  std::set<std::string> kernels;
  compare_levels(pooled_cases(), kernels);
  for (const Level level : fast_levels())
    for (const char* name :
         {"conv2d_max_pool_f32_", "conv2d_max_pool_i8_", "conv2d_max_pool_i16_", "conv2d_max_pool_i16_wide_"})
      CHECK(kernels.contains(std::string(name) + std::string(to_string(level))));
}

TEST_CASE("the other kernels of every level equal the reference") {
  std::set<std::string> kernels;
  compare_levels(other_cases(), kernels);
  for (const Level level : fast_levels())
    for (const char* name :
         {"linear_f32_", "linear_i8_", "linear_i16_", "max_pool2d_f32_", "max_pool2d_i16_",
          "global_avg_pool_i8_", "global_avg_pool_i16_", "quantize_f32_i8_", "quantize_f32_i16_",
          "dequantize_i16_f32_", "avg_pool2d_i8_", "add_i8_", "multiply_i8_", "multiply_channels_i8_",
          "table_i8_", "table_i16_", "add_i16_", "multiply_i16_", "multiply_channels_i16_"})
      CHECK(kernels.contains(std::string(name) + std::string(to_string(level))));
}

TEST_CASE("every pair of 8-bit codes has the reference's sum at every level") {
  constexpr std::int64_t kCodes = 256, kRest = 13;  // codes behind whole vectors
  const Shape shape{1, kCodes, kCodes + kRest, 1};
  std::set<std::string> kernels;
  Rng rng(17);
  for (int trial = 0; trial < 12; ++trial) {
    const auto any = [&](float low, float high) {
      return Quantization{{rng.uniform(low, high)}, static_cast<std::int32_t>(rng.below(256)) - 128};
    };
    Maker maker(1);
    const auto activation = trial % 3 == 0   ? Activation::relu
                            : trial % 3 == 1 ? Activation::relu6
                                             : Activation::none;
    const ValueId a = maker.input(shape, Dtype::i8, any(0.01f, 0.1f));
    const ValueId b = maker.input(shape, Dtype::i8, trial == 0 ? codes(0.25f, 3) : any(0.01f, 0.1f));
    const Graph graph = maker.finish(maker.node(Add{activation}, {a, b}, "add", any(0.05f, 0.15f)));
    const auto sums = [&](Level level) {
      lathe::runtime::Plan plan(graph, {.level = level});
      kernels.insert(plan.steps()[0].kernel);
      for (std::int64_t i = 0; i < shape.size(); ++i) {
        const auto at = static_cast<std::size_t>(i);
        plan.input<std::int8_t>(0)[at] = static_cast<std::int8_t>(i % (kCodes + kRest));
        plan.input<std::int8_t>(1)[at] = static_cast<std::int8_t>(i / (kCodes + kRest));
      }
      plan.run();
      const auto out = plan.output<std::int8_t>();
      return std::vector<std::int8_t>(out.begin(), out.end());
    };
    const auto expected = sums(Level::reference);
    for (const Level level : fast_levels()) {
      CAPTURE(to_string(level));
      CAPTURE(trial);
      CHECK(sums(level) == expected);
    }
  }
  for (const Level level : fast_levels())
    CHECK(kernels.contains("real_add_i8_" + std::string(to_string(level))) == (level >= Level::avx2));
}

TEST_CASE("layers that quantize their input give the reference's numbers at every level") {
  std::set<std::string> kernels;
  std::uint64_t seed = 7;
  const auto compare = [&](Op op, Shape in, Shape weight, bool bias, bool pool = false) {
    CAPTURE(lathe::graph::to_string(op));
    CAPTURE(text(in));
    CAPTURE(text(weight));
    Maker maker(++seed);
    std::vector<ValueId> inputs = {maker.input(in), maker.weight_i8("w", weight)};
    if (bias) inputs.push_back(maker.constant("b", {weight[0]}, -1, 1));
    ValueId y = maker.graph().add_node(op, inputs, "layer");
    if (pool) y = maker.node(MaxPool2d{}, {y});
    const Graph graph = maker.finish(y);
    for (const std::int64_t batch : {1, 3}) {
      const auto expected = run(graph, {.batch = batch, .level = Level::reference}, seed);
      for (const Level level : fast_levels()) {
        CAPTURE(to_string(level));
        std::string used;
        CHECK(run(graph, {.batch = batch, .level = level}, seed, &used) == expected);
        std::istringstream names(used);
        for (std::string name; names >> name;) kernels.insert(name);
      }
    }
  };
  for (const bool bias : {false, true}) {
    for (const int inputs : {1, 3, 63, 64, 65, 200})
      for (const int outputs : {1, 10, 13, 40}) compare(Linear{}, {1, inputs}, {outputs, inputs}, bias);
    for (const int in : {1, 3, 17})
      for (const int out : {5, 16, 33})
        compare(Conv2d{.padding = Padding::same(), .activation = Activation::relu}, {1, 7, 9, in},
                {out, 3, 3, in}, bias, out == 33);
    compare(Conv2d{}, {1, 5, 3, 20}, {18, 1, 1, 20}, bias);
    compare(Conv2d{.groups = 2}, {1, 5, 5, 8}, {6, 3, 3, 4}, bias);
    for (const int channels : {3, 16, 21})
      compare(Conv2d{.stride_h = 2, .padding = Padding::same(), .groups = channels}, {1, 9, 8, channels},
              {channels, 3, 3, 1}, bias);
  }
  for (const Level level : fast_levels())
    for (const char* name :
         {"linear_dynamic_", "conv2d_dynamic_", "conv2d_max_pool_dynamic_", "depthwise_dynamic_"})
      CHECK(kernels.contains(std::string(name) + std::string(to_string(level))));
}

TEST_CASE("whole models of every level equal the reference") {
  for (const Dtype dtype : {Dtype::f32, Dtype::i8, Dtype::i16}) {
    for (const Graph& graph : {tutorial(dtype), conv(dtype), dscnn(dtype)}) {
      for (const std::int64_t batch : {1, 3}) {
        const auto expected = run(graph, {.batch = batch, .level = Level::reference});
        for (const Level level : fast_levels()) {
          CAPTURE(to_string(level));
          const auto given = run(graph, {.batch = batch, .level = level});
          // The float outputs of an integer model are codes times a scale: equal or a code apart.
          check_equal(given, expected, Dtype::f32, dtype == Dtype::f32 ? 5e-6f : 0.f);
        }
      }
    }
  }
}

TEST_CASE("any split of a kernel's range gives the same bytes") {
  std::vector<Case> cases = conv_cases();
  for (auto more : {pooled_cases(), other_cases()}) cases.insert(cases.end(), more.begin(), more.end());
  auto levels = fast_levels();
  levels.push_back(Level::reference);
  std::uint64_t seed = 1;
  for (std::size_t i = 0; i < cases.size(); i += 3) {  // every third: the levels were compared on all of them
    for (const Dtype in : cases[i].dtypes) {
      CAPTURE(cases[i].name);
      CAPTURE(to_string(in));
      Maker maker(++seed);
      const Graph graph = cases[i].make(maker, in);
      for (const Level level : levels) {
        CAPTURE(to_string(level));
        auto program =
            lathe::runtime::build_program(graph, {.batch = 3, .level = level}, lathe::runtime::best_level());
        const auto execute = [&](std::int64_t parts) {
          for (std::size_t p = 0; p < program.inputs.size(); ++p) {
            const auto& port = program.inputs[p];
            const auto bytes = random_bytes(port.dtype, port.shape.size(), seed + p);
            std::memcpy(port.data, bytes.data(), bytes.size());
          }
          for (const auto& step : program.steps) {
            for (std::int64_t part = 0; part < parts; ++part) {
              const std::int64_t units = step.range.end;
              step.kernel(step.call, {units * part / parts, units * (part + 1) / parts});
            }
          }
          const auto& port = program.outputs[0];
          const auto* data = static_cast<const std::byte*>(port.data);
          return std::vector<std::byte>(
              data, data + port.shape.size() * static_cast<std::int64_t>(lathe::size_of(port.dtype)));
        };
        const auto whole = execute(1);
        CHECK(execute(2) == whole);
        CHECK(execute(7) == whole);
      }
    }
  }
}

TEST_CASE("rescaling is exact for factors of every size, with and without a fused relu") {
  // One output channel a factor; biases spread the accumulators over the whole range of codes. Linear layers
  // of 16 bits have 64-bit sums, convolutions 32-bit ones.
  const Op linear = Linear{}, linear_relu = Linear{Activation::relu}, conv = Conv2d{},
           conv_relu = Conv2d{.activation = Activation::relu};
  for (const float out_scale : {0.0005f, 0.01f, 0.2f, 5.f, 3000.f, 1e7f}) {
    for (const auto& kind : {std::pair(linear, 2), {linear_relu, 2}, {conv, 4}, {conv_relu, 4}}) {
      const Op& op = kind.first;
      const int rank = kind.second;
      for (const Dtype dtype : {Dtype::i8, Dtype::i16}) {
        CAPTURE(out_scale);
        CAPTURE(lathe::graph::to_string(op));
        Maker maker(17);
        const ValueId x = maker.input(rank == 2 ? Shape{1, 33} : Shape{1, 1, 1, 33}, dtype, codes(0.05f, 4));
        const ValueId weight = maker.weight_i8("w", rank == 2 ? Shape{48, 33} : Shape{48, 1, 1, 33});
        const ValueId bias = maker.bias("b", x, weight);
        const Graph graph = maker.finish(maker.node(op, {x, weight, bias}, "layer", codes(out_scale, -3)));
        const auto expected = run(graph, {.batch = 64, .level = Level::reference});
        for (const Level level : fast_levels()) {
          CAPTURE(to_string(level));
          CHECK(run(graph, {.batch = 64, .level = level}) == expected);
        }
      }
    }
  }
}

TEST_CASE("quantizing equals the reference on ties, limits and what is no number") {
  const auto check_codes = [](Dtype dtype, float scale, const std::vector<float>& values) {
    Maker maker(1);
    const ValueId x = maker.input({1, static_cast<std::int64_t>(values.size())});
    const ValueId q = maker.graph().add_node(Quantize{}, {x}, "q", dtype,
                                             Quantization{{scale}, dtype == Dtype::i8 ? -5 : 0});
    const Graph graph = maker.finish(maker.node(Dequantize{}, {q}));
    const auto execute = [&](Level level) {
      lathe::runtime::Plan plan(graph, {.level = level});
      std::ranges::copy(values, plan.input<float>().begin());
      plan.run();
      return std::vector<float>(plan.output<float>().begin(), plan.output<float>().end());
    };
    const auto expected = execute(Level::reference);
    for (const Level level : fast_levels()) CHECK(execute(level) == expected);
  };
  for (const auto& [dtype, most, step] : {std::tuple(Dtype::i8, 300, 1), {Dtype::i16, 70000, 7}}) {
    // Scales with and without exact ties.
    for (const float scale : {0.25f, 0.3f, 1.0000001f, 0x1.fffffep-30f}) {
      CAPTURE(scale);
      std::vector<float> values = {std::nanf(""), INFINITY, -INFINITY, 0.f, -0.f, 1e30f, -1e30f, 1e-40f};
      for (int code = -most; code <= most; code += step) {
        const float tie = static_cast<float>(code) * 0.5f * scale;
        values.insert(values.end(), {tie, std::nextafter(tie, 1e9f), std::nextafter(tie, -1e9f)});
      }
      check_codes(dtype, scale, values);
    }
  }
}

TEST_CASE("the table lists the best kernels first and a reference for each op and dtype") {
  std::set<std::tuple<std::size_t, Dtype, Dtype>> with_reference;
  for (const auto& entry : lathe::runtime::kernel_table())
    if (entry.level == Level::reference) with_reference.insert({entry.op, entry.input, entry.output});
  Level last = Level::avx512;
  for (const auto& entry : lathe::runtime::kernel_table()) {
    CHECK(entry.level <= last);
    last = entry.level;
    CHECK(with_reference.contains({entry.op, entry.input, entry.output}));
    CHECK((entry.run != nullptr && entry.prepare != nullptr));
  }
}
