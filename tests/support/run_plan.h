#pragma once

#include <lathe/datasets/loader.h>
#include <lathe/runtime/plan.h>

#include <algorithm>
#include <vector>

/// What a plan of the graph gives for all images of the loader, one after another, batch by batch.
inline std::vector<float> run_plan(const lathe::graph::Graph& graph,
                                   const lathe::datasets::DataLoader& loader,
                                   lathe::runtime::PlanOptions options = {}) {
  options.batch = loader.options().batch;
  lathe::runtime::Plan plan(graph, options);
  std::vector<float> outputs;
  for (auto epoch = loader.epoch(0); auto batch = epoch.next();) {
    std::ranges::copy(batch->images.span<float>(), plan.input<float>().begin());
    plan.run();
    outputs.insert(outputs.end(), plan.output<float>().begin(), plan.output<float>().end());
  }
  return outputs;
}
