#include "../../runtime/strips.h"
#include "graphs.h"

#include "support/threads.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace graphs;
using namespace lathe::graph;
using lathe::runtime::group_steps;
using lathe::runtime::Level;
using lathe::runtime::Plan;
using lathe::runtime::PlanOptions;
using lathe::runtime::RowStep;
using lathe::runtime::StepInfo;
using lathe::runtime::Strips;

namespace {

/// What a block of the tests below is made of. Rows are so wide that several strips are needed.
struct Block {
  Shape in;
  int kernel = 3, stride = 1;
  Padding padding = Padding::same();
  bool silu = false, skip = false, skip_first = false;
  Activation after = Activation::none;
};

ValueId image(Maker& maker, const Shape& shape, Dtype dtype) {
  return dtype == Dtype::f32 ? maker.input(shape) : maker.input(shape, dtype, codes());
}

std::optional<Quantization> quantization(Dtype dtype, float scale, std::int32_t zero_point) {
  return dtype == Dtype::f32 ? std::nullopt : std::optional(codes(scale, zero_point));
}

/// Widens, depthwise, narrows; with an addition of the input where there is a skip.
Graph block(Dtype dtype, const Block& b) {
  Maker maker(11);
  const std::int64_t wide = 4 * b.in[3];
  const ValueId x = image(maker, b.in, dtype);
  const auto activation = b.silu ? Activation::none : Activation::relu6;
  const auto silu = [&](ValueId y) {
    return b.silu ? maker.node(Activate{Activation::silu}, {y}, "silu", quantization(dtype, 0.03f, -100)) : y;
  };
  ValueId y = silu(maker.weighted(Conv2d{.activation = activation}, x, {wide, 1, 1, b.in[3]}, "widen"));
  y = silu(maker.weighted(Conv2d{b.stride, b.stride, b.padding, static_cast<int>(wide), activation}, y,
                          {wide, b.kernel, b.kernel, 1}, "depthwise"));
  y = maker.weighted(Conv2d{}, y, {b.in[3], 1, 1, wide}, "narrow");
  if (b.skip)
    y = maker.node(Add{b.after}, b.skip_first ? std::vector{x, y} : std::vector{y, x}, "add",
                   quantization(dtype, 0.07f, 5));
  return maker.finish(y);
}

std::vector<int> strips_of(const Plan& plan) {
  std::vector<int> result;
  for (const StepInfo& step : plan.steps()) result.push_back(step.strip);
  return result;
}

}  // namespace

TEST_CASE("layers in strips of rows give the bytes of layers one after the other") {
  const Threads threads(3);
  const Block blocks[] = {
      {.in = {1, 31, 57, 24}},
      {.in = {1, 32, 57, 24}, .kernel = 5},
      {.in = {1, 33, 57, 24}, .stride = 2},
      {.in = {1, 32, 59, 21}, .kernel = 5, .stride = 2, .padding = Padding::symmetric(2)},
      {.in = {1, 40, 57, 24}, .kernel = 3, .padding = Padding::valid()},
      {.in = {1, 30, 57, 24}, .kernel = 2, .stride = 3},
      {.in = {1, 31, 57, 24}, .silu = true},
      {.in = {1, 31, 57, 24}, .skip = true},
      {.in = {1, 29, 41, 33}, .skip = true, .skip_first = true, .after = Activation::relu},
      {.in = {1, 31, 57, 24}, .silu = true, .skip = true, .after = Activation::relu6},
      {.in = {1, 1, 900, 24}, .skip = true},
  };
  for (const Dtype dtype : {Dtype::f32, Dtype::i8, Dtype::i16}) {
    auto levels = fast_levels();
    levels.push_back(Level::reference);
    for (const Block& one : blocks) {
      const Graph graph = block(dtype, one);
      for (const Level level : levels) {
        if (level == Level::reference && &one != blocks && &one != blocks + 8) continue;  // slow
        CAPTURE(to_string(dtype));
        CAPTURE(to_string(level));
        CAPTURE(to_string(one.in));
        for (const std::int64_t batch : {1, 3}) {
          const auto expected = run(graph, {.batch = batch, .level = level, .strips = Strips::never});
          const PlanOptions options{.batch = batch, .level = level, .strips = Strips::always};
          CHECK(std::ranges::count(strips_of(Plan(graph, options)), 1) >= 3);
          CHECK(run(graph, options) == expected);
          PlanOptions shared = options;
          shared.threads = 3;
          CHECK(run(graph, shared) == expected);
        }
      }
    }
  }
}

TEST_CASE("a plan in strips holds a few rows of what lies between layers") {
  const Graph graph = block(Dtype::f32, {.in = {1, 64, 64, 32}});
  const Plan whole(graph, {.strips = Strips::never}), strips(graph, {});
  CHECK(strips_of(whole) == std::vector<int>{0, 0, 0});
  CHECK(strips_of(strips) == std::vector<int>{1, 1, 1});  // each 2 MiB between two
  CHECK(strips.arena_bytes() < whole.arena_bytes() / 2);
  CHECK(strips.text().find("f32[1,64,64,128] @strips") != std::string::npos);
  const Plan small(block(Dtype::i8, {.in = {1, 64, 64, 32}}), {});
  CHECK(strips_of(small) == std::vector<int>{0, 0, 0});  // stays in the cache
  CHECK(strips_of(Plan(block(Dtype::i8, {.in = {1, 64, 64, 32}}), {.batch = 2})) ==
        std::vector<int>{1, 1, 1});
}

TEST_CASE("what two layers read, or the plan gives, is no strip") {
  const auto check = [](auto&& finish, const std::vector<int>& expected) {
    Maker maker(3);
    const ValueId x = maker.input({1, 20, 30, 16});
    const ValueId a = maker.weighted(Conv2d{}, x, {16, 1, 1, 16}, "a");
    const ValueId b = maker.weighted(Conv2d{}, a, {16, 1, 1, 16}, "b");
    const Graph graph = finish(maker, x, a, b);
    CHECK(strips_of(Plan(graph, {.strips = Strips::always})) == expected);
    CHECK(run(graph, {.strips = Strips::always}) == run(graph, {.strips = Strips::never}));
    CHECK(run(graph, {.level = Level::reference, .strips = Strips::always}) ==
          run(graph, {.level = Level::reference, .strips = Strips::never}));
  };
  check([](Maker& maker, ValueId, ValueId, ValueId b) { return maker.finish(b); }, {1, 1});
  check(
      [](Maker& maker, ValueId, ValueId a, ValueId b) {
        return maker.finish(maker.node(Add{}, {a, b}));
      },
      {0, 1, 1});
  check(
      [](Maker& maker, ValueId, ValueId a, ValueId b) {
        maker.graph().set_outputs({a, b});
        return std::move(maker.graph());
      },
      {0, 0});
  // Both of a sum are of the same convolution.
  check(
      [](Maker& maker, ValueId, ValueId, ValueId b) {
        return maker.finish(maker.node(Add{}, {b, b}));
      },
      {1, 1, 0});
  // Both of a sum are convolutions: the second one runs with it.
  check(
      [](Maker& maker, ValueId x, ValueId, ValueId b) {
        const ValueId c = maker.weighted(Conv2d{}, x, {16, 1, 1, 16}, "c");
        return maker.finish(maker.node(Add{Activation::relu}, {b, c}));
      },
      {1, 1, 2, 2});
  // Read by another name.
  check(
      [](Maker& maker, ValueId, ValueId, ValueId b) {
        const ValueId flat = maker.node(Reshape{{20, 30 * 16}}, {b});
        return maker.finish(maker.node(Activate{Activation::relu}, {flat}));
      },
      {1, 1, 0});
  // A gate for each channel.
  check(
      [](Maker& maker, ValueId x, ValueId, ValueId b) {
        const ValueId gate = maker.node(GlobalAvgPool{}, {x});
        return maker.finish(maker.weighted(Conv2d{}, maker.node(Multiply{}, {b, gate}), {8, 1, 1, 16}, "c"));
      },
      {1, 1, 0, 2, 2});
}

TEST_CASE("a sum in strips is left in the place of an input that no other strip reads") {
  const auto same_place = [](const Graph& graph, std::size_t input) {
    Plan plan(graph, {.strips = Strips::always});
    CHECK(std::ranges::count(strips_of(plan), 0) == 0);
    return static_cast<const float*>(plan.input<float>(input).data()) == plan.output<float>().data();
  };
  // The first layer reads rows of x, for another thread's part after this one's sum has been written.
  CHECK_FALSE(same_place(block(Dtype::f32, {.in = {1, 97, 64, 24}, .kernel = 5, .skip = true}), 0));
  Maker maker(5);
  const ValueId x = maker.input({1, 20, 30, 8}), other = maker.input({1, 20, 30, 16});
  const ValueId y = maker.weighted(Conv2d{}, x, {16, 1, 1, 8});
  CHECK(same_place(maker.finish(maker.node(Add{}, {y, other})), 1));
}

TEST_CASE("groups are made where what lies between two steps is large") {
  constexpr std::int64_t kLarge = 1 << 20;
  const RowStep conv{.by_rows = true, .follows = true, .bytes = kLarge};
  const auto with = [&](auto&& change) {
    RowStep step = conv;
    change(step);
    return step;
  };
  const RowStep small = with([](RowStep& step) { step.bytes = kLarge - 1; });
  const RowStep first = with([](RowStep& step) { step.follows = false; });
  const RowStep other = with([](RowStep& step) { step.by_rows = false; });
  const RowStep dense = with([](RowStep& step) { step.restages = true; });
  const RowStep add = with([](RowStep& step) { step.elementwise = true; });
  using Groups = std::vector<int>;
  CHECK(group_steps({}, false).empty());
  CHECK(group_steps(std::vector{first, conv, conv}, false) == Groups{3});
  CHECK(group_steps(std::vector{first, small, conv}, false) == Groups{2, 1});
  CHECK(group_steps(std::vector{first, small, conv}, true) == Groups{3});
  CHECK(group_steps(std::vector{first, small, add}, false) == Groups{3});  // in strips already
  CHECK(group_steps(std::vector{small, add}, false) == Groups{1, 1});
  CHECK(group_steps(std::vector{first, dense}, false) == Groups{1, 1});
  CHECK(group_steps(std::vector{conv, other, conv}, false) == Groups{1, 1, 1});
  CHECK(group_steps(std::vector{conv, first, conv}, false) == Groups{1, 2});
  CHECK(group_steps(std::vector<RowStep>(11, conv), false) == Groups{8, 3});
}
