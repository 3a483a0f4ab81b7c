// What each compression pass adds to a training step: the conv model at batch 128, one thread, forward to
// Adam. The figures in docs/methods/; ratios hold within one run.

#include <lathe/base/parallel.h>
#include <lathe/compress/cluster.h>
#include <lathe/compress/distill.h>
#include <lathe/compress/prune.h>
#include <lathe/compress/quantize_aware.h>
#include <lathe/core/ops.h>
#include <lathe/layers/models.h>
#include <lathe/optim/optimizer.h>

#include <benchmark/benchmark.h>

using namespace lathe;

namespace {

constexpr std::int64_t kBatch = 128;

enum class Pass { none, prune, cluster, quantize, distil };

void train_step(benchmark::State& state, Pass pass) {
  set_num_threads(1);
  const auto& info = layers::find_model("conv");
  const auto model = info.make(), teacher = info.make();
  model->reset(Rng(0));
  teacher->reset(Rng(1));
  Tensor images = Tensor::empty(info.input.with(0, kBatch));
  Rng(1).fill_uniform(images.mutable_span<float>(), 0, 1);
  datasets::Batch batch{images, Tensor::zeros({kBatch}, Dtype::i32)};

  std::unique_ptr<optim::Callback> callback;
  if (pass == Pass::prune) {
    auto pruning =
        compress::prune(*model, {.schedule = compress::ConstantSparsity{.sparsity = 0.8f, .frequency = 1}});
    pruning->update(0);  // later steps keep this mask
    callback = std::move(pruning);
  }
  if (pass == Pass::cluster) callback = compress::cluster(*model, {.clusters = 16});
  if (pass == Pass::quantize) callback = compress::quantize_aware(*model, info.input, std::span(&images, 1));
  const optim::Loss loss = pass == Pass::distil ? compress::distillation(compress::teacher(*teacher), {})
                                                : [](const Tensor& z, const datasets::Batch& b) {
                                                    return cross_entropy(z, b.labels);
                                                  };
  optim::Adam optimizer(model->parameters(), {});
  auto* quantization = dynamic_cast<compress::QuantizationAware*>(callback.get());
  for (auto _ : state) {
    if (quantization != nullptr) quantization->update(0, 1);
    loss((*model)(batch.images), batch).backward();
    optimizer.step();
    optimizer.clear_grads();
    if (quantization != nullptr) quantization->settle();
  }
}

BENCHMARK_CAPTURE(train_step, plain, Pass::none)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(train_step, prune, Pass::prune)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(train_step, cluster, Pass::cluster)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(train_step, quantize, Pass::quantize)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(train_step, distil, Pass::distil)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
