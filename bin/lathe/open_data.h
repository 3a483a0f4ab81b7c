#pragma once

#include <lathe/datasets/folder.h>
#include <lathe/graph/graph.h>

#include <string>

namespace lathe::commands {

/// Opens a data set for a network: photos in the size of its input.
inline datasets::Named open_data(const std::string& name, const std::string& directory,
                                 const graph::Graph& graph) {
  datasets::FolderOptions options;
  const Shape& input = graph.value(graph.inputs()[0]).shape;
  if (input.rank() == 4 && (input[3] == 1 || input[3] == 3)) options.image = {input[1], input[2], input[3]};
  return datasets::open(name, datasets::data_root(directory), options);
}

}  // namespace lathe::commands
