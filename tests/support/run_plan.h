#pragma once

#include <lathe/core/tensor.h>
#include <lathe/datasets/loader.h>
#include <lathe/runtime/plan.h>

#include <algorithm>
#include <span>
#include <vector>

/// What a plan of the graph gives for the elements of `options.batch` images.
inline std::vector<float> run_plan(const lathe::graph::Graph& graph, std::span<const float> images,
                                   const lathe::runtime::PlanOptions& options) {
  lathe::runtime::Plan plan(graph, options);
  std::ranges::copy(images, plan.input<float>().begin());
  plan.run();
  return {plan.output<float>().begin(), plan.output<float>().end()};
}

/// What a plan of the graph gives for images [N,...], all in one batch.
inline std::vector<float> run_plan(const lathe::graph::Graph& graph, const lathe::Tensor& images,
                                   lathe::runtime::PlanOptions options = {}) {
  options.batch = images.shape()[0];
  return run_plan(graph, images.span<float>(), options);
}

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
