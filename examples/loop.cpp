// A network with a block of its own, trained by a loop written by hand: no Trainer, no callbacks.

#include <lathe/lathe.h>

#include <cstdio>

using namespace lathe;

/// Two convolutions and a shortcut around them (He et al. 2016, "Deep residual learning").
struct ResidualBlock : layers::Module {
  layers::Conv2d first, second;
  layers::Add add{{.activation = Activation::relu}};

  explicit ResidualBlock(int channels)
      : first({.in = channels,
               .out = channels,
               .kernel = 3,
               .padding = Padding::same(),
               .activation = Activation::relu}),
        second({.in = channels, .out = channels, .kernel = 3, .padding = Padding::same()}) {
    register_module("first", first);
    register_module("second", second);
    register_module("add", add);
  }
  std::string type() const override { return "ResidualBlock"; }
  Tensor forward(const Tensor& x) override { return add(second(first(x)), x); }
};

struct Network : layers::Module {
  layers::Conv2d stem{{.in = 1,
                       .out = 16,
                       .kernel = 3,
                       .stride = 2,
                       .padding = Padding::same(),
                       .activation = Activation::relu}};
  ResidualBlock block{16};
  layers::GlobalAvgPool pool;
  layers::Linear classify{{.in = 16, .out = 10}};

  Network() {
    register_module("stem", stem);
    register_module("block", block);
    register_module("pool", pool);
    register_module("classify", classify);
  }
  std::string type() const override { return "Network"; }
  Tensor forward(const Tensor& x) override { return classify(pool(block(stem(x)))); }
};

int main(int argc, char** argv) try {
  const auto data = datasets::open(argc > 1 ? argv[1] : "synthetic-digits", datasets::data_root());
  const datasets::DataLoader train(datasets::take(data.train, 20'000), {.batch = 64, .shuffle = true});
  const datasets::DataLoader test(data.test, {.batch = 256});

  Network model;
  model.reset(Rng(1));
  std::printf("%s\n", layers::summary(model, {1, 28, 28, 1}).c_str());
  optim::AdamW optimizer(model.parameters(), {.weight_decay = 1e-4f});
  const optim::Schedule schedule = optim::OneCycleSchedule{.peak = 1e-2f, .steps = 2 * train.batches()};

  std::int64_t step = 0;
  for (int epoch = 0; epoch < 2; ++epoch) {
    auto batches = train.epoch(epoch);
    while (const auto batch = batches.next()) {
      const Tensor loss = cross_entropy(model(batch->images), batch->labels);
      loss.backward();
      optimizer.set_learning_rate(optim::learning_rate_at(schedule, step++));
      optimizer.step();
      optimizer.clear_grads();
      if (step % 100 == 0) std::printf("step %4lld  loss %.3f\n", static_cast<long long>(step), loss.item());
    }
  }
  std::printf("test accuracy %.2f %%\n", 100 * optim::evaluate(model, test).accuracy);
} catch (const Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
