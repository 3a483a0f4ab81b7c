#include "measure.h"

#include <lathe/base/error.h>
#include <lathe/base/parallel.h>

#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <exception>
#include <limits>
#include <mutex>
#include <numeric>

namespace lathe::experiments {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

/// The input bytes of a plan: run() reuses their memory, and what an earlier run left there may be denormal
/// numbers, which processors take a hundred times as long for.
class KeptInput {
 public:
  explicit KeptInput(runtime::Plan& plan)
      : bytes_(plan.input_dtype() == Dtype::f32 ? std::as_writable_bytes(plan.input<float>())
                                                : std::as_writable_bytes(plan.input<std::uint8_t>())),
        kept_(bytes_.begin(), bytes_.end()) {}
  void restore() const { std::ranges::copy(kept_, bytes_.begin()); }

 private:
  std::span<std::byte> bytes_;
  std::vector<std::byte> kept_;
};

double run_once(runtime::Plan& plan, const KeptInput& input) {
  input.restore();
  const auto begin = Clock::now();
  plan.run();
  return milliseconds(Clock::now() - begin);
}

/// `sorted` by the nearest-rank definition.
double percentile(std::span<const double> sorted, double share) {
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return sorted[std::max<std::size_t>(rank, 1) - 1];
}

std::int64_t samples_per_image(const runtime::Plan& plan) { return plan.input_shape().size() / plan.batch(); }

/// Index of the largest of `count` values of output `slot`; the first of equal ones.
std::int32_t classify(const runtime::Plan& plan, std::int64_t slot) {
  const auto count = plan.output_shape().size() / plan.batch();
  const auto largest = [&](auto all) {
    const auto scores = all.subspan(static_cast<std::size_t>(slot * count), static_cast<std::size_t>(count));
    return static_cast<std::int32_t>(std::ranges::max_element(scores) - scores.begin());
  };
  return plan.output_dtype() == Dtype::u8 ? largest(plan.output<std::uint8_t>())
                                          : largest(plan.output<float>());
}

/// The runs of one plan.
class Timing {
 public:
  /// Warms up caches, branch predictors and clock with at least 20 ms of work.
  Timing(runtime::Plan& plan, std::int64_t runs) : plan_(plan), input_(plan), runs_(runs) {
    std::vector<double> times;
    for (double warm = 0; times.size() < 10 || warm < 20; warm += times.back())
      times.push_back(run_once(plan_, input_));
    std::ranges::sort(times);
    const double typical = percentile(times, 0.5);
    if (runs_ == 0)
      runs_ =
          typical > 20 ? 50 : std::clamp<std::int64_t>(static_cast<std::int64_t>(200 / typical), 1000, 5000);
  }

  void take_turn(std::int64_t turn, std::int64_t turns) {
    if (turns > 1) run_once(plan_, input_);  // another plan had the caches
    for (std::int64_t i = runs_ * turn / turns; i < runs_ * (turn + 1) / turns; ++i)
      times_.push_back(run_once(plan_, input_));
  }

  Latency latency() {
    std::ranges::sort(times_);
    return {.median_ms = percentile(times_, 0.5),
            .mean_ms = std::accumulate(times_.begin(), times_.end(), 0.0) / static_cast<double>(runs_),
            .p90_ms = percentile(times_, 0.9),
            .p99_ms = percentile(times_, 0.99),
            .min_ms = times_.front(),
            .max_ms = times_.back(),
            .runs = runs_};
  }

 private:
  runtime::Plan& plan_;
  KeptInput input_;
  std::int64_t runs_;
  std::vector<double> times_;
};

}  // namespace

Latency measure_latency(runtime::Plan& plan, std::int64_t runs) {
  return measure_in_turns({&plan, 1}, runs)[0];
}

std::vector<Latency> measure_in_turns(std::span<runtime::Plan> plans, std::int64_t runs) {
  std::vector<Timing> timings;
  for (runtime::Plan& plan : plans) timings.emplace_back(plan, runs);
  const std::int64_t turns = plans.size() > 1 ? 10 : 1;
  for (std::int64_t turn = 0; turn < turns; ++turn)
    for (Timing& timing : timings) timing.take_turn(turn, turns);
  std::vector<Latency> latencies;
  for (Timing& timing : timings) latencies.push_back(timing.latency());
  return latencies;
}

double measure_total(runtime::Plan& plan, const datasets::Dataset& dataset) {
  const auto bytes_of = [](Dtype dtype, const Shape& shape) {
    return static_cast<std::size_t>(shape.size()) * size_of(dtype);
  };
  const std::size_t in = bytes_of(plan.input_dtype(), plan.input_shape());
  const std::size_t out = bytes_of(plan.output_dtype(), plan.output_shape());
  const auto input = [&] {
    return plan.input_dtype() == Dtype::f32 ? std::as_writable_bytes(plan.input<float>())
                                            : std::as_writable_bytes(plan.input<std::uint8_t>());
  }();
  const auto output = plan.output_dtype() == Dtype::f32 ? std::as_bytes(plan.output<float>())
                                                        : std::as_bytes(plan.output<std::uint8_t>());
  const auto size = static_cast<std::size_t>(dataset.size());
  std::vector<std::byte> images(size * in), answers(size * out);
  for (std::size_t i = 0; i < size; ++i) {
    fill_input(plan, dataset, static_cast<std::int64_t>(i));
    std::ranges::copy(input, images.begin() + static_cast<std::ptrdiff_t>(i * in));
  }
  double best = std::numeric_limits<double>::infinity();
  for (int pass = 0; pass < 3; ++pass) {
    const auto begin = Clock::now();
    for (std::size_t i = 0; i < size; ++i) {
      std::memcpy(input.data(), images.data() + i * in, in);
      plan.run();
      std::memcpy(answers.data() + i * out, output.data(), out);
    }
    best = std::min(best, milliseconds(Clock::now() - begin));
  }
  return best;
}

std::vector<double> measure_steps(runtime::Plan& plan, std::int64_t runs) {
  std::vector<std::vector<std::int64_t>> times(plan.steps().size());
  std::vector<std::int64_t> once(plan.steps().size());
  const KeptInput input(plan);
  for (std::int64_t run = 0; run < runs; ++run) {
    std::ranges::fill(once, 0);
    input.restore();
    plan.run_timed(once);
    for (std::size_t i = 0; i < once.size(); ++i) times[i].push_back(once[i]);
  }
  std::vector<double> medians;
  for (auto& samples : times) {
    std::ranges::nth_element(samples, samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2));
    medians.push_back(static_cast<double>(samples[samples.size() / 2]));
  }
  return medians;
}

void fill_input(runtime::Plan& plan, const datasets::Dataset& dataset, std::int64_t index,
                std::int64_t slot) {
  const auto size = static_cast<std::size_t>(samples_per_image(plan));
  const auto first = static_cast<std::size_t>(slot) * size;
  if (plan.input_dtype() == Dtype::f32)
    return dataset.read(index, plan.input<float>().subspan(first, size), Rng(0));
  std::vector<float> image(size);
  dataset.read(index, image, Rng(0));
  std::ranges::transform(image, plan.input<std::uint8_t>().subspan(first, size).begin(), [](float x) {
    return static_cast<std::uint8_t>(std::lround(std::clamp(x, 0.0f, 1.0f) * 255));
  });
}

std::vector<std::int32_t> predict(const graph::Graph& graph, const datasets::Dataset& dataset,
                                  const Progress& progress) {
  check(graph.inputs().size() == 1 && graph.outputs().size() == 1,
        "evaluate: the model has {} inputs and {} outputs, expected one of each", graph.inputs().size(),
        graph.outputs().size());
  const Shape input = graph.value(graph.inputs()[0]).shape;
  const Shape image = dataset.image_shape();
  check(input.rank() == 4 && input.dims().subspan(1).size() == image.dims().size() &&
            std::ranges::equal(input.dims().subspan(1), image.dims()),
        "evaluate: the model takes images of {}, the data set has {}", to_string(input), to_string(image));
  const Shape output = graph.value(graph.outputs()[0]).shape;
  check(output.rank() == 2 && output[1] >= static_cast<std::int64_t>(dataset.classes().size()),
        "evaluate: the model's output {} has fewer classes than the data set's {}", to_string(output),
        dataset.classes().size());

  constexpr std::int64_t kBatch = 32;
  std::vector<runtime::Plan> plans;
  for (int i = 0; i < num_threads(); ++i) plans.emplace_back(graph, runtime::PlanOptions{.batch = kBatch});
  const std::int64_t size = dataset.size(), threads = static_cast<std::int64_t>(plans.size());
  std::vector<std::int32_t> predictions(static_cast<std::size_t>(size));
  std::atomic<std::int64_t> done{0};
  std::mutex mutex;
  std::exception_ptr error;

  parallel_for(threads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t part = begin; part < end; ++part) try {
        runtime::Plan& plan = plans[static_cast<std::size_t>(part)];
        for (std::int64_t first = part * kBatch; first < size; first += threads * kBatch) {
          const std::int64_t count = std::min(kBatch, size - first);
          for (std::int64_t i = 0; i < count; ++i) fill_input(plan, dataset, first + i, i);
          plan.run();
          for (std::int64_t i = 0; i < count; ++i)
            predictions[static_cast<std::size_t>(first + i)] = classify(plan, i);
          const std::int64_t so_far = done += count;
          if (progress && part == 0) progress(so_far, size);
        }
      } catch (...) {
        const std::lock_guard lock(mutex);
        error = std::current_exception();
      }
  });
  if (error) std::rethrow_exception(error);
  return predictions;
}

double accuracy(std::span<const std::int32_t> predictions, const datasets::Dataset& dataset) {
  std::int64_t right = 0;
  for (std::size_t i = 0; i < predictions.size(); ++i)
    right += predictions[i] == dataset.label(static_cast<std::int64_t>(i));
  return static_cast<double>(right) / static_cast<double>(predictions.size());
}

std::int64_t gzip_bytes(std::span<const std::byte> bytes) {
  z_stream stream{};
  constexpr int kGzip = 15 + 16;
  check(deflateInit2(&stream, 9, Z_DEFLATED, kGzip, 9, Z_DEFAULT_STRATEGY) == Z_OK, "gzip: cannot start");
  std::vector<Bytef> out(deflateBound(&stream, bytes.size()));
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  const int status = deflate(&stream, Z_FINISH);
  deflateEnd(&stream);
  check(status == Z_STREAM_END, "gzip: failed with status {}", status);
  return static_cast<std::int64_t>(stream.total_out);
}

}  // namespace lathe::experiments
