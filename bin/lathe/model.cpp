#include "commands.h"

#include <lathe/base/error.h>
#include <lathe/compress/trace.h>
#include <lathe/graph/model_file.h>
#include <lathe/layers/models.h>
#include <lathe/optim/trainer.h>

namespace lathe::commands {

graph::Graph load_network(const std::filesystem::path& path) {
  if (path.extension() != ".safetensors") return graph::load(path);
  const layers::Checkpoint checkpoint = optim::load_model_weights(path);
  const auto name = checkpoint.metadata.find("model");
  check(name != checkpoint.metadata.end(),
        "{}: it does not say which model it is of (no 'model' in its metadata)", path.string());
  const layers::ModelInfo& info = layers::find_model(name->second);
  const auto model = info.make();
  layers::load_weights(*model, checkpoint.tensors);
  return compress::export_float(*model, info.input);
}

}  // namespace lathe::commands
