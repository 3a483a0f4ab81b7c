#pragma once

#include "program.h"

#include <lathe/datasets/folder.h>
#include <lathe/graph/graph.h>

#include <string>

namespace lathe::commands {

/// Where images come from, and which of a folder of photos are the test set.
struct DataOptions {
  std::string directory;
  std::int64_t test_above = 0;
  std::uint64_t seed = 0;
};

/// --data, --test-above, --seed
inline void add_data_options(CLI::App& command, DataOptions& options) {
  experiments::add_data_option(command, options.directory);
  command
      .add_option(
          "--test-above", options.test_above,
          "Of a folder of photos: the test photos are those whose number is above this. Default: four "
          "fifths of the highest")
      ->check(CLI::Range(1, 1'000'000'000));
  command.add_option("--seed", options.seed, "Of a folder of photos without numbers: the seed of its split")
      ->capture_default_str();
}

/// Opens a data set for a network: photos in the size of its input.
inline datasets::Named open_data(const std::string& name, const DataOptions& data,
                                 const graph::Graph& graph) {
  datasets::FolderOptions options{.test_above = data.test_above, .seed = data.seed};
  const Shape& input = graph.value(graph.inputs()[0]).shape;
  if (input.rank() == 4 && (input[3] == 1 || input[3] == 3)) options.image = {input[1], input[2], input[3]};
  return datasets::open(name, datasets::data_root(data.directory), options);
}

}  // namespace lathe::commands
