#pragma once

#include "program.h"

#include <lathe/graph/graph.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

/// The subcommands of `lathe`, one file each.
namespace lathe::commands {

/// Adds a subcommand; when it is the one given, `run` is set to what does its work.
using Run = std::function<int()>;
void add_info(CLI::App& app, Run& run);
void add_eval(CLI::App& app, Run& run);
void add_bench(CLI::App& app, Run& run);
void add_convert(CLI::App& app, Run& run);
void add_data(CLI::App& app, Run& run);
void add_predict(CLI::App& app, Run& run);
void add_report(CLI::App& app, Run& run);

/// A network out of a file: a .lathe file as it is, or a checkpoint (safetensors with a model's name),
/// exported as fp32.
graph::Graph load_network(const std::filesystem::path& path);

}  // namespace lathe::commands
