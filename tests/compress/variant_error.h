#pragma once

#include "support/relative_error.h"
#include "support/run_plan.h"

#include <lathe/core/evaluate.h>
#include <lathe/graph/graph.h>
#include <lathe/graph/model_file.h>

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

/// How far the plan of a variant, written to a file and read again, is from the float graph it was made of:
/// the relative error of its output for `images` [N,...]. A batch must give what its images give one by one.
inline double variant_error(const lathe::graph::Graph& variant, const lathe::graph::Graph& real,
                            const lathe::Tensor& images, std::optional<lathe::runtime::Level> level = {}) {
  verify(variant);
  const std::vector<std::byte> file = encode(variant);
  const lathe::graph::Graph stored = lathe::graph::decode(file, "stored");
  CHECK(encode(stored) == file);
  const std::vector<float> given = run_plan(stored, images, {.level = level});
  const auto elements = images.span<float>();
  const std::size_t size = elements.size() / static_cast<std::size_t>(images.shape()[0]);
  std::vector<float> singly;
  for (std::size_t i = 0; i < elements.size(); i += size)
    for (float y : run_plan(stored, elements.subspan(i, size), {.level = level})) singly.push_back(y);
  CHECK(given == singly);
  return relative_error(given, evaluate(real, std::span(&images, 1))[0].span<float>());
}
