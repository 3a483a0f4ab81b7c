// Pruning and quantization-aware training of a network of one's own in a loop written by hand: no Trainer.
// compress.cpp does the same with one.

#include "residual_network.h"

#include <cstdio>

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
  std::printf("%s\n", layers::summary(model, input).c_str());

  // Attach first, then build the optimiser.
  const auto pruning = compress::prune(
      model,
      {.schedule = compress::PolynomialDecay{.final = 0.7f, .end = steps / 2 / 20 * 20, .frequency = 20}});
  const Tensor images = train.epoch(0).next()->images;
  const auto quantization = compress::quantize_aware(model, input, std::span(&images, 1));
  optim::AdamW optimizer(model.parameters(), {.weight_decay = 1e-4f});
  const optim::Schedule schedule = optim::OneCycleSchedule{.peak = 1e-2f, .steps = steps};

  std::int64_t step = 0;
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    auto batches = train.epoch(epoch);
    while (const auto batch = batches.next()) {
      pruning->update(step);
      quantization->update(step, steps);
      const Tensor loss = cross_entropy(model(batch->images), batch->labels);
      loss.backward();
      optimizer.set_learning_rate(optim::learning_rate_at(schedule, step++));
      optimizer.step();
      optimizer.clear_grads();
      quantization->settle();
      if (step % 100 == 0) std::printf("step %4lld  loss %.3f\n", static_cast<long long>(step), loss.item());
    }
  }
  pruning->zero_masked();
  compress::strip(model);
  std::printf("test accuracy with the values of the integers %.2f %%\n",
              100 * optim::evaluate(model, test).accuracy);
  graph::save(compress::export_quantized(model, input), "residual.int8.lathe");
} catch (const Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
