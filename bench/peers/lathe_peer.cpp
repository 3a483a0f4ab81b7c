// lathe's side of compare.py: `lathe-peer run FILE IMAGES` and `lathe-peer train MODEL THREADS IMAGES
// LABELS`.

#include <lathe/base/parallel.h>
#include <lathe/core/ops.h>
#include <lathe/graph/model_file.h>
#include <lathe/layers/models.h>
#include <lathe/optim/optimizer.h>
#include <lathe/runtime/plan.h>

#include "serve.h"

#include <algorithm>

namespace {

using namespace lathe;

void run(const std::string& file, const std::string& images) {
  runtime::Plan plan(graph::load(file));
  peers::serve_inference(peers::read_numbers<float>(images), plan.input<float>(), plan.output<float>(),
                         [&] { plan.run(); });
}

/// Forward, loss, backward and Adam on batches that are in memory.
void train(const std::string& name, int threads, const std::string& images_path,
           const std::string& labels_path) {
  constexpr std::size_t kBatch = 128;
  set_num_threads(threads);
  const auto model = layers::find_model(name).make();
  model->reset(Rng(0));
  optim::Adam optimizer(model->parameters(), {});
  const auto images = peers::read_numbers<float>(images_path);
  const auto labels = peers::read_numbers<std::int32_t>(labels_path);
  const std::size_t batches = labels.size() / kBatch;
  if (batches == 0 || images.size() != labels.size() * peers::kPixels)
    throw std::runtime_error("expected 128 images or more, and a label for each");
  Tensor image_batch = Tensor::zeros({kBatch, 28, 28, 1}), label_batch = Tensor::zeros({kBatch}, Dtype::i32);

  const auto load = [&](std::size_t step) {
    const std::size_t first = step % batches * kBatch;
    std::ranges::copy(std::span(images).subspan(first * peers::kPixels, kBatch * peers::kPixels),
                      image_batch.mutable_span<float>().begin());
    std::ranges::copy(std::span(labels).subspan(first, kBatch),
                      label_batch.mutable_span<std::int32_t>().begin());
  };
  for (std::string request; std::cin >> request;) {
    std::size_t steps = 0;
    if (!peers::is_timing(request) || !(std::cin >> steps))
      throw std::runtime_error("unknown request: " + request);
    peers::answer_time(request, steps, load, [&] {
      cross_entropy((*model)(image_batch), label_batch).backward();
      optimizer.step();
      optimizer.clear_grads();
    });
  }
}

}  // namespace

int main(int argc, char** argv) {
  return peers::guarded("lathe-peer", [&] {
    const std::vector<std::string> words(argv + 1, argv + argc);
    if (words.size() == 3 && words[0] == "run")
      run(words[1], words[2]);
    else if (words.size() == 5 && words[0] == "train")
      train(words[1], std::stoi(words[2]), words[3], words[4]);
    else
      throw std::runtime_error("usage: lathe-peer run FILE IMAGES | train MODEL THREADS IMAGES LABELS");
  });
}
