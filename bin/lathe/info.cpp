#include "commands.h"
#include "table.h"

#include <lathe/base/error.h>
#include <lathe/layers/models.h>

#include <filesystem>

namespace lathe::commands {
namespace {

std::int64_t constant_bytes(const graph::Graph& graph) {
  std::int64_t bytes = 0;
  for (const graph::Value& value : graph.values())
    if (value.is_constant()) bytes += static_cast<std::int64_t>(value.data->bytes().size());
  return bytes;
}

int show_model(const std::string& name) {
  const layers::ModelInfo& info = layers::find_model(name);
  const auto model = info.make();
  fmt::print("{}: {}\n\n{}", info.name, info.about, layers::summary(*model, info.input));
  return 0;
}

int show_file(const std::string& path) {
  const graph::Graph graph = load_network(path);
  fmt::print("{}\n", graph::to_string(graph));
  fmt::print("file: {} bytes; constants: {} bytes; {} FLOPs per image\n", std::filesystem::file_size(path),
             constant_bytes(graph), graph::count_flops(graph));
  return 0;
}

}  // namespace

void add_info(CLI::App& app, Run& run) {
  auto* command = app.add_subcommand("info", "Show the layers of a bundled model, or what is in a file");
  auto what = std::make_shared<std::string>();
  auto model = std::make_shared<std::string>();
  auto* file =
      command->add_option("model_or_file", *what, "Name of a bundled model, a .lathe file or a checkpoint");
  command->add_option("--model", *model, "Name of a bundled model")->excludes(file);
  command->callback([&run, what, model] {
    run = [what, model] {
      if (!model->empty()) return show_model(*model);
      if (what->empty()) throw experiments::UsageError("info: name a model or a file");
      if (std::filesystem::exists(*what)) return show_file(*what);
      const bool looks_like_file = what->find_first_of("./") != std::string::npos;
      check(!looks_like_file, "info: there is no file {}", *what);
      return show_model(*what);
    };
  });
}

}  // namespace lathe::commands
