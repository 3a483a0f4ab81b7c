#include "commands.h"

#include <lathe/base/error.h>
#include <lathe/compress/trace.h>
#include <lathe/graph/model_file.h>
#include <lathe/layers/models.h>
#include <lathe/optim/trainer.h>

#include <string_view>

namespace lathe::commands {
namespace {

/// Is it what a compression pass keeps while it trains?
bool of_a_pass(std::string_view tensor) {
  return tensor.ends_with(".mask") || tensor.ends_with(".centroids") || tensor.ends_with(".range");
}

}  // namespace

graph::Graph load_network(const std::filesystem::path& path) {
  if (path.extension() != ".safetensors") return graph::load(path);
  const layers::Checkpoint checkpoint = optim::load_model_weights(path);
  const auto name = checkpoint.metadata.find("model");
  check(name != checkpoint.metadata.end(),
        "{}: it does not say which model it is of (no 'model' in its metadata)", path.string());
  const layers::ModelInfo& info = layers::find_model(name->second);
  const auto model = info.make();
  for (const layers::NamedTensor& named : checkpoint.tensors)
    check(!of_a_pass(named.name),
          "{}: it is of a training with pruning, clustering or quantization (it has '{}'), which ends in "
          "files of its own: give the .float.lathe that was written beside it",
          path.string(), named.name);
  layers::load_weights(*model, checkpoint.tensors);
  return compress::export_float(*model, info.input);
}

}  // namespace lathe::commands
