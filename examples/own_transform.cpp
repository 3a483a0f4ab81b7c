// A compression method of your own: weights that are powers of two (a shift instead of a multiplication),
// after Zhou et al. 2017, "Incremental network quantization". It is a Transform like those of the library, so
// it goes together with them (here with pruning), with checkpoints, strip and the export.

#include <lathe/lathe.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>

using namespace lathe;

/// Each weight becomes the nearest of 0 and +-2^-k, k = 0..7. The gradient passes straight through.
struct PowersOfTwo : layers::Transform {
  Tensor values;

  PowersOfTwo() {
    std::vector<float> numbers{0};
    for (int k = 0; k < 8; ++k)
      for (const float sign : {-1.f, 1.f}) numbers.push_back(sign * std::ldexp(1.f, -k));
    values = Tensor::from(std::span<const float>(numbers), {static_cast<std::int64_t>(numbers.size())});
  }
  /// Where shared values are made: after pruning, before quantization.
  layers::Stage stage() const override { return layers::Stage::cluster; }
  Tensor apply(const Tensor& x) override { return cluster_lookup(x, values); }
};

int main(int argc, char** argv) try {
  const auto data = datasets::open(argc > 1 ? argv[1] : "synthetic-digits", datasets::data_root());
  const datasets::DataLoader train(datasets::take(data.train, 8'000), {.batch = 128, .shuffle = true});
  const datasets::DataLoader test(data.test, {.batch = 256});

  const auto model = layers::find_model("tutorial").make();
  model->reset(Rng(1));
  const std::int64_t steps = 3 * train.batches();
  auto pruning = compress::prune(
      *model, {.schedule = compress::PolynomialDecay{.final = 0.6f, .end = steps / 2, .frequency = 10}});
  for (const auto& weight : compress::select_weights(*model, {}, "powers of two", {}))
    layers::Parameter(weight.parameter).attach(std::make_shared<PowersOfTwo>());

  optim::Adam optimizer(model->parameters(), {});
  optim::Trainer trainer(*model, optimizer, {.epochs = 3});
  trainer.add(std::move(pruning));
  trainer.add(std::make_unique<optim::ProgressBar>(stderr));
  trainer.fit(train);

  compress::strip(*model);
  for (const auto& [name, parameter] : model->parameters()) {
    const auto weights = parameter.master().span<float>();
    if (parameter.master().shape().rank() < 2) continue;
    std::printf("%s: %zu weights, %lld zeros, %zu different values\n", name.c_str(), weights.size(),
                static_cast<long long>(std::ranges::count(weights, 0.f)),
                std::set<float>(weights.begin(), weights.end()).size());
  }
  std::printf("test accuracy %.2f %%\n", 100 * optim::evaluate(*model, test).accuracy);
  graph::save(compress::export_float(*model, {1, 28, 28, 1}), "powers_of_two.lathe");
} catch (const Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
