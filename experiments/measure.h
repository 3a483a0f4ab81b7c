#pragma once

#include <lathe/datasets/dataset.h>
#include <lathe/graph/graph.h>
#include <lathe/runtime/plan.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace lathe::experiments {

/// Called with the number of samples done and their total.
using Progress = std::function<void(std::int64_t done, std::int64_t total)>;

/// Milliseconds of one run of a plan.
struct Latency {
  double median_ms = 0, mean_ms = 0, p90_ms = 0, p99_ms = 0, min_ms = 0, max_ms = 0;
  std::int64_t runs = 0;
};

/// Times plan.run() alone with a steady clock, after a warm-up. runs = 0: at least 1,000, or at least 50 when
/// one takes over 20 ms.
Latency measure_latency(runtime::Plan& plan, std::int64_t runs = 0);

/// The same of several plans in ten turns, so that what else the machine does befalls them alike.
std::vector<Latency> measure_in_turns(std::span<runtime::Plan> plans, std::int64_t runs = 0);

/// Milliseconds for all images of a data set one by one, each copied to the plan, run, its output copied from
/// it; the fastest of three passes.
double measure_total(runtime::Plan& plan, const datasets::Dataset& dataset);

/// Median nanoseconds of each step of a plan over `runs` runs. The clocks around the steps make them look
/// some 20 ns slower than they are.
std::vector<double> measure_steps(runtime::Plan& plan, std::int64_t runs);

/// Writes image `index` of a data set where a plan wants it; u8 inputs get round(255 * x).
void fill_input(runtime::Plan& plan, const datasets::Dataset& dataset, std::int64_t index,
                std::int64_t slot = 0);

/// The deployed network's class for every image of a data set, by batched plans on num_threads() threads.
/// Throws Error when image or class shapes do not fit.
std::vector<std::int32_t> predict(const graph::Graph& graph, const datasets::Dataset& dataset,
                                  const Progress& progress = {});

/// Share of right answers, 0..1.
double accuracy(std::span<const std::int32_t> predictions, const datasets::Dataset& dataset);

/// Bytes of `gzip -9` of a file's content.
std::int64_t gzip_bytes(std::span<const std::byte> bytes);

}  // namespace lathe::experiments
