#include "random_module.h"
#include "support.h"
#include "support/errors.h"
#include "support/run_plan.h"
#include "support/temporary_folder.h"

#include <lathe/base/io.h>
#include <lathe/compress/cluster.h>
#include <lathe/compress/distill.h>
#include <lathe/compress/prune.h>
#include <lathe/compress/quantize_aware.h>
#include <lathe/compress/strip.h>
#include <lathe/compress/trace.h>
#include <lathe/core/evaluate.h>
#include <lathe/core/ops.h>
#include <lathe/graph/model_file.h>
#include <lathe/layers/checkpoint.h>
#include <lathe/optim/optimizer.h>
#include <lathe/runtime/plan.h>

#include <atomic>
#include <cmath>
#include <functional>
#include <map>
#include <optional>

using namespace lathe;
using namespace lathe::compress;
using namespace lathe::testing;

namespace {

const Shape kImage{1, 8, 8, 1};
const runtime::PlanOptions kPlain{.level = runtime::Level::reference};

std::unique_ptr<QuantizationAware> attach(layers::Module& model, const QuantizeAwareOptions& options = {}) {
  const Tensor batch = images(32);
  return quantize_aware(model, kImage, std::span(&batch, 1), options);
}

/// The scale of the integers that the output is dequantized from; 0 when it is float.
float output_scale(const graph::Graph& graph) {
  for (const graph::Node& node : graph.nodes())
    if (node.output == graph.outputs()[0] && std::holds_alternative<graph::Dequantize>(node.op))
      return graph.value(node.inputs[0]).quantization->scale[0];
  return 0;
}

struct Parity {
  std::int64_t values = 0, different = 0;
  double worst = 0;  ///< codes
};

Parity compare(layers::Module& model, const graph::Graph& graph, const Tensor& x) {
  const std::vector<float> predicted = elements(evaluate(model, x)), deployed = run_plan(graph, x, kPlain);
  const double scale = static_cast<double>(output_scale(graph));
  REQUIRE(scale > 0);
  Parity parity;
  for (std::size_t i = 0; i < predicted.size(); ++i) {
    const double codes =
        std::abs(static_cast<double>(predicted[i]) - static_cast<double>(deployed[i])) / scale;
    ++parity.values;
    parity.different += codes > 0.5;
    parity.worst = std::max(parity.worst, codes);
  }
  return parity;
}

/// Some steps towards small outputs, so that weights and ranges have moved.
void train(layers::Module& model, QuantizationAware& quantization, const Tensor& x, int steps) {
  optim::Adam optimizer(model.parameters(), {.learning_rate = 0.01f});
  model.train();
  for (int step = 0; step < steps; ++step) {
    quantization.update(step, steps);
    optimizer.clear_grads();
    const Tensor y = model(x);
    mean_squared_error(y, Tensor::full(y.shape(), 0.5f)).backward();
    optimizer.step();
  }
  quantization.settle();
}

}  // namespace

TEST_CASE("what a trained model computes in evaluation is what its integers compute") {
  const auto model = small_model();
  const auto quantization = attach(*model);
  CHECK(quantization->left_out().empty());
  train(*model, *quantization, images(64), 30);
  const graph::Graph graph = export_quantized(*model, kImage);
  const Parity parity = compare(*model, graph, images(500));
  CHECK(parity.worst <= 1.01);
  CHECK(parity.different <= parity.values / 200);
}

TEST_CASE("random networks: evaluation predicts the integers' outputs") {
  std::int64_t values = 0, different = 0;
  double worst = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    const RandomModule net(seed);
    Tensor x = Tensor::empty(net.input.with(0, 16));
    Rng(seed, 1).fill_uniform(x.mutable_span<float>(), -1, 1);
    const auto quantization = quantize_aware(*net.model, net.input, std::span(&x, 1));
    train(*net.model, *quantization, x, 8);
    std::vector<FloatNode> left;
    const graph::Graph graph = export_quantized(*net.model, net.input, {}, &left);
    INFO(to_string(graph));
    CHECK(quantization->left_out().size() == left.size());
    if (output_scale(graph) == 0) continue;
    const Parity parity = compare(*net.model, graph, x);
    CHECK(parity.worst <= 1.01);
    values += parity.values, different += parity.different;
    worst = std::max(worst, parity.worst);
  }
  MESSAGE(values << " outputs, " << different << " of another code, at most " << worst << " codes apart");
  CHECK(different * 200 <= values);
}

TEST_CASE("a model trained for 16-bit activations is exported with them") {
  const auto model = small_model();
  const auto quantization = attach(*model, {.scheme = Scheme::int16x8});
  train(*model, *quantization, images(64), 30);
  CHECK_ERROR(export_quantized(*model, kImage), "trained for int16x8: give .scheme = Scheme::int16x8");
  const graph::Graph graph = export_quantized(*model, kImage, {.scheme = Scheme::int16x8});
  // In steps this fine the float sums of the prediction show.
  CHECK(compare(*model, graph, images(500)).worst <= 4.01);
}

TEST_CASE("a model trained for int8 can be exported with 16-bit activations: the same in finer steps") {
  const auto model = small_model();
  const auto quantization = attach(*model);
  train(*model, *quantization, images(64), 30);
  const graph::Graph narrow = export_quantized(*model, kImage);
  const graph::Graph wide = export_quantized(*model, kImage, {.scheme = Scheme::int16x8});
  CHECK(output_scale(wide) < output_scale(narrow) / 100);
  const std::vector<float> coarse = run_plan(narrow, images(200), kPlain),
                           fine = run_plan(wide, images(200), kPlain);
  for (std::size_t i = 0; i < coarse.size(); ++i)
    CHECK(std::abs(coarse[i] - fine[i]) <= 4 * output_scale(narrow));
}

TEST_CASE("quantizers are attached once, where something can be quantized, with batches that fit") {
  const auto model = small_model();
  const Tensor batch = images(4);
  const std::span one(&batch, 1);
  CHECK_ERROR(quantize_aware(*model, kImage, {}), "quantize_aware: there are no calibration batches");
  const Tensor wrong = Tensor::zeros({4, 8, 8, 3});
  CHECK_ERROR(quantize_aware(*model, kImage, std::span(&wrong, 1)),
              "calibration batches must be f32[1,8,8,1] with any number of images, given [4,8,8,3]");
  CHECK_ERROR(quantize_aware(*model, {1, 9, 9, 2}, std::span(&wrong, 1)), "calibration batches must be");
  CHECK_ERROR(quantize_aware(*model, {1, 8, 8, 3}, std::span(&wrong, 1)), "conv: conv2d:");
  const Tensor nan = Tensor::full({1, 8, 8, 1}, std::nanf(""));
  CHECK_ERROR(quantize_aware(*model, kImage, std::span(&nan, 1)), "values that are not finite");
  CHECK_ERROR(quantize_aware(*model, kImage, one, {.layers = {.patterns = {"cnov*"}}}),
              "quantize_aware: pattern 'cnov*' matches no layer; there are: conv (Conv2d)");
  CHECK_ERROR(quantize_aware(*model, kImage, one, {.layers = {.patterns = {"norm"}}}),
              "nothing is left to quantize");
  CHECK_ERROR(quantize_aware(*model, kImage, one, {.decay = 1.5f}), "decay is 1.5, expected 0 to 1");
  CHECK_ERROR(quantize_aware(*model, kImage, one, {.freeze_ranges_at = {.share = 2}}),
              "freeze_ranges_at.share is 2, expected 0 to 1");
  CHECK_ERROR(export_quantized(*model, kImage), "export_quantized: the model has no quantizers");
  const auto first = quantize_aware(*model, kImage, one);
  CHECK_ERROR(quantize_aware(*model, kImage, one), "quantize_aware: the model has quantizers already");
}

TEST_CASE("training without the callback is refused, evaluation is not") {
  const auto model = small_model();
  const auto quantization = attach(*model);
  evaluate(*model, images());
  CHECK_ERROR((*model)(images()), "quantize_aware: training without the callback");
  quantization->update(0, 10);
  (*model)(images());
}

TEST_CASE("layers that were not selected stay float, with conversions at the borders") {
  const auto model = small_model();
  const auto quantization = attach(*model, {.layers = {.patterns = {"conv", "linear"}}});
  train(*model, *quantization, images(64), 10);
  const graph::Graph graph = export_quantized(*model, kImage);
  std::string kinds;
  for (const graph::Node& node : graph.nodes())
    kinds += fmt::format("{} {},", graph::name(node.op), to_string(graph.value(node.output).dtype));
  CHECK(kinds ==
        "quantize i8,conv2d i8,dequantize f32,conv2d f32,conv2d f32,quantize i8,reshape i8,linear "
        "i8,dequantize f32,");
  CHECK(compare(*model, graph, images(100)).worst <= 1.01);
}

TEST_CASE("an export as float has the quantized weights and no quantizer") {
  const auto model = small_model();
  const auto quantization = attach(*model);
  train(*model, *quantization, images(64), 10);
  const graph::Graph graph = export_float(*model, kImage);
  for (const graph::Node& node : graph.nodes()) CHECK(graph::deployable(node.op));
  CHECK(graph.nodes().size() == 5);
}

namespace {

using Attach = std::function<std::unique_ptr<optim::Callback>(layers::Module&)>;

Attach method(char name) {
  if (name == 'P')
    return [](layers::Module& model) {
      return prune(model, {.schedule = PolynomialDecay{.final = 0.6f, .begin = 0, .end = 6, .frequency = 2}});
    };
  if (name == 'C')
    return [](layers::Module& model) { return cluster(model, {.clusters = 6, .preserve_sparsity = true}); };
  return [](layers::Module& model) { return attach(model); };
}

/// Attaches the methods in this order, trains 8 steps; with D, from a teacher.
void train(layers::Module& model, const std::string& methods) {
  std::vector<std::unique_ptr<optim::Callback>> callbacks;
  for (char name : methods)
    if (name != 'D') callbacks.push_back(method(name)(model));
  const auto network = small_model();
  optim::Adam optimizer(model.parameters(), {.learning_rate = 0.01f});
  optim::Trainer::Options options{.epochs = 2};
  if (methods.find('D') != std::string::npos) options.loss = distillation(teacher(*network), {});
  optim::Trainer trainer(model, optimizer, options);
  for (auto& callback : callbacks) trainer.add(std::move(callback));
  trainer.fit(spots(64));
}

std::unique_ptr<layers::Sequential> trained(const std::string& methods) {
  auto model = small_model();
  train(*model, methods);
  return model;
}

constexpr auto kWeights = {"conv.weight", "pointwise.weight", "linear.weight"};

const graph::Value& weight_of(const graph::Graph& graph, std::string_view name) {
  for (const graph::Value& value : graph.values())
    if (value.name == name) return value;
  fail("test: no constant '{}'", name);
}

std::int64_t nonzeros(const graph::Value& weight) {
  return std::ranges::count_if(weight.elements<std::int8_t>(), [](std::int8_t code) { return code != 0; });
}

std::size_t different_codes(const graph::Value& weight) {
  std::vector<std::int8_t> codes(weight.elements<std::int8_t>().begin(),
                                 weight.elements<std::int8_t>().end());
  std::ranges::sort(codes);
  return static_cast<std::size_t>(std::unique(codes.begin(), codes.end()) - codes.begin());
}

}  // namespace

TEST_CASE("methods in any combination and order: the same bytes, and each survives in the integers") {
  for (const std::string all : {"Q", "PQ", "CQ", "DPQ", "PCQ"}) {
    std::string order = all;
    std::ranges::sort(order);
    std::optional<std::vector<std::byte>> file;
    do {
      CAPTURE(order);
      const auto model = trained(order);
      const graph::Graph graph = export_quantized(*model, kImage);
      const std::vector<std::byte> bytes = graph::encode(graph);
      if (!file) file = bytes;
      CHECK(bytes == *file);
    } while (std::ranges::next_permutation(order).found);

    CAPTURE(all);
    const auto model = trained(all);
    std::map<std::string, std::int64_t> pruned;
    for (const PrunedWeight& weight : pruned_weights(*model))
      pruned[weight.name] = zeros(weight.mask->mask());
    // Those in channels that the export leaves out count as zeros.
    const graph::Graph graph = export_quantized(*model, kImage);
    for (const std::string name : kWeights) {
      CAPTURE(name);
      const graph::Value& weight = weight_of(graph, name);
      CHECK(parameter(*model, name).master().shape().size() - nonzeros(weight) >= pruned[name]);
      if (all.find('C') != std::string::npos) CHECK(different_codes(weight) <= 6);
    }
    CHECK(compare(*model, graph, images(200)).worst <= 1.01);

    const Tensor before = evaluate(*model, images());
    strip(*model);
    CHECK(same_bytes(evaluate(*model, images()), before));
    CHECK(graph::encode(export_quantized(*model, kImage)) == *file);
  }
}

TEST_CASE("zeros and values of a stripped model, taken up, survive quantization-aware training") {
  const auto model = trained("PC");
  strip(*model);
  std::map<std::string, std::int64_t> pruned;
  for (const std::string name : kWeights) pruned[name] = zeros(parameter(*model, name).master());
  CHECK(from_zeros(*model).empty());
  CHECK(from_unique(*model).empty());
  train(*model, "Q");
  const graph::Graph graph = export_quantized(*model, kImage);
  for (const std::string name : kWeights) {
    CAPTURE(name);
    const graph::Value& weight = weight_of(graph, name);
    CHECK(parameter(*model, name).master().shape().size() - nonzeros(weight) >= pruned[name]);
    CHECK(different_codes(weight) <= 6);
  }
}

TEST_CASE("a resumed training ends in the same bytes, ranges included") {
  const TemporaryFolder folder;
  const auto fit = [&](const std::string& name, int stop_after) {
    const auto model = small_model();
    auto quantization =
        attach(*model, {.freeze_ranges_at = {.share = 0.75}, .freeze_batch_norm_at = {.step = 9}});
    optim::Adam optimizer(model->parameters(), {.learning_rate = 0.01f});
    std::atomic<bool> interrupt = false;
    optim::Trainer trainer(*model, optimizer,
                           {.epochs = 3, .checkpoint = folder.path() / name, .interrupt = &interrupt});
    trainer.add(std::move(quantization));
    Hooks& hooks = trainer.add(std::make_unique<Hooks>());
    hooks.at_step_end = [&](optim::TrainState& state) { interrupt = state.step + 1 == stop_after; };
    trainer.fit(spots(64));
    return layers::weights(*model);
  };
  const auto whole = fit("whole", -1);
  fit("parts", 5);
  const auto parts = fit("parts", -1);
  REQUIRE(whole.size() == parts.size());
  std::size_t ranges = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    CAPTURE(whole[i].name);
    CHECK(same_bytes(whole[i].tensor, parts[i].tensor));
    ranges += whole[i].name.ends_with(".range") || whole[i].name == "input.range";
  }
  CHECK(ranges == 5);
}

TEST_CASE("ranges and batch norm statistics stay as they are from where they are frozen") {
  const auto model = small_model();
  const auto quantization =
      attach(*model, {.freeze_ranges_at = {.step = 3}, .freeze_batch_norm_at = {.share = 0.5}});
  std::vector<layers::NamedTensor> before;
  for (int step = 0; step < 10; ++step) {
    quantization->update(step, 10);
    (*model)(images(16));
    quantization->settle();
    if (step == 5)
      for (const layers::NamedTensor& named : model->buffers())
        before.push_back({named.name, named.tensor.clone()});
  }
  const auto after = model->buffers();
  for (std::size_t i = 0; i < before.size(); ++i) CHECK(same_bytes(before[i].tensor, after[i].tensor));
}

TEST_CASE("the gap between quantized and float loss is logged") {
  const TemporaryFolder folder;
  const auto model = small_model();
  auto quantization = attach(*model);
  optim::Adam optimizer(model->parameters(), {});
  const auto loader = spots(64);
  optim::Trainer trainer(*model, optimizer, {.epochs = 2});
  trainer.add(std::move(quantization));
  trainer.add(std::make_unique<QuantizationGapLog>(folder.path() / "gap.csv", loader));
  trainer.fit(loader);
  const auto bytes = read_file(folder.path() / "gap.csv");
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  CHECK(text.starts_with("epoch,step,quantized_loss,float_loss,gap\n1,4,"));
  CHECK(std::ranges::count(text, '\n') == 3);
  CHECK_ERROR(QuantizationGapLog("x", loader, {.batches = 0}),
              "quantization gap: 0 batches, expected at least 1");
}

TEST_CASE("what is no module's output stays float and is listed") {
  struct Functional : layers::Module {
    layers::Conv2d conv{{.in = 1, .out = 4, .kernel = 3, .padding = Padding::same()}};
    layers::Linear head{{.in = 256, .out = 3}};
    Functional() { register_module("conv", conv), register_module("head", head); }
    Tensor forward(const Tensor& x) override {
      const Tensor y = conv(x);
      return head(flatten(add(y, relu(y))));
    }
  } model;
  model.reset(Rng(1));
  const Tensor batch = images(8);
  const auto quantization = quantize_aware(model, kImage, std::span(&batch, 1));
  std::string reasons;
  for (const LeftOut& left : quantization->left_out()) reasons += left.name + ": " + left.reason + "\n";
  CAPTURE(reasons);
  CHECK(reasons.find("head: the output of") != std::string::npos);
  CHECK(reasons.find("is not the output of a module that is called once") != std::string::npos);
  const graph::Graph graph = export_quantized(model, kImage);
  for (const graph::Node& node : graph.nodes()) CHECK(graph::deployable(node.op));
}
