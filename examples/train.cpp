#include <lathe/lathe.h>

#include <cstdio>

using namespace lathe;

int main(int argc, char** argv) try {
  const auto data = datasets::open(argc > 1 ? argv[1] : "synthetic-digits", datasets::data_root());
  const datasets::DataLoader train(data.train, {.batch = 128, .shuffle = true}),
      test(data.test, {.batch = 256});

  layers::Sequential model;
  model.add<layers::Conv2d>("conv", {.in = 1, .out = 12, .kernel = 3, .activation = Activation::relu});
  model.add<layers::MaxPool2d>("pool");
  model.add<layers::Flatten>("flatten");
  model.add<layers::Linear>("linear", {.in = 13 * 13 * 12, .out = 10});
  model.reset(Rng(0));

  optim::Adam optimizer(model.parameters(), {.learning_rate = 1e-3f});
  optim::Trainer trainer(model, optimizer, {.epochs = 2});
  trainer.add(std::make_unique<optim::ProgressBar>(stderr));
  trainer.fit(train);

  std::printf("test accuracy %.2f %%\n", 100 * optim::evaluate(model, test).accuracy);
  graph::save(compress::export_float(model, {1, 28, 28, 1}), "tutorial.lathe");
} catch (const Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
