// Pruning and quantization-aware training of a network of one's own with the Trainer; each pass is a line,
// and takes part without knowing of the others. loop.cpp does the same by hand.

#include "residual_network.h"

#include <cstdio>
#include <filesystem>

using namespace lathe;

int main(int argc, char** argv) try {
  const auto data = datasets::open(argc > 1 ? argv[1] : "synthetic-digits", datasets::data_root());
  const datasets::DataLoader train(datasets::take(data.train, 8'000), {.batch = 64, .shuffle = true});
  const datasets::DataLoader test(data.test, {.batch = 256});
  constexpr int kEpochs = 3;
  const std::int64_t steps = kEpochs * train.batches();
  const Shape input{1, 28, 28, 1};

  ResidualNetwork model;
  model.reset(Rng(1));
  auto pruning = compress::prune(model, {.schedule = compress::PolynomialDecay{
                                             .final = 0.7f, .end = steps / 2 / 20 * 20, .frequency = 20}});
  const Tensor images = train.epoch(0).next()->images;
  auto quantization = compress::quantize_aware(model, input, std::span(&images, 1));
  optim::AdamW optimizer(model.parameters(), {.weight_decay = 1e-4f});

  optim::Trainer trainer(
      model, optimizer,
      {.epochs = kEpochs, .schedule = optim::OneCycleSchedule{.peak = 1e-2f, .steps = steps}});
  trainer.add(std::move(pruning));
  trainer.add(std::move(quantization));
  trainer.add(std::make_unique<optim::ProgressBar>(stderr));
  trainer.fit(train, &test);

  compress::strip(model);
  graph::save(compress::export_quantized(model, input), "residual.int8.lathe");
  std::printf("residual.int8.lathe: %lld bytes, test accuracy with the values of the integers %.2f %%\n",
              static_cast<long long>(std::filesystem::file_size("residual.int8.lathe")),
              100 * optim::evaluate(model, test).accuracy);
} catch (const Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
