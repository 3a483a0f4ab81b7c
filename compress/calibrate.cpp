#include <lathe/base/error.h>
#include <lathe/base/function_ref.h>
#include <lathe/compress/calibrate.h>
#include <lathe/core/autograd.h>
#include <lathe/core/evaluate.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace lathe::compress {
namespace {

std::string describe_value(const graph::Graph& graph, graph::ValueId id) {
  for (const graph::Node& node : graph.nodes())
    if (node.output == id) return describe(graph, node);
  return "input " + graph.value(id).name;
}

/// Widens `range` by the elements. False when one is not finite.
bool extend(Range& range, std::span<const float> elements) {
  float low = range.min, high = range.max, sum = 0;
  for (float x : elements) {
    low = std::min(low, x);
    high = std::max(high, x);
    sum += x * 0.f;  // NaN as soon as one element is not finite
  }
  range = {low, high};
  return sum == 0;
}

/// How often a value's elements fell into each of the equal parts of its whole range.
class Histogram {
 public:
  explicit Histogram(Range whole) : whole_(whole), counts_(kBins) {}

  void add(std::span<const float> elements) {
    const double low = static_cast<double>(whole_.min);
    const double per_bin = (static_cast<double>(whole_.max) - low) / kBins;
    for (float x : elements) {
      if (x == 0) ++zeros_;
      const double bin = per_bin > 0 ? (static_cast<double>(x) - low) / per_bin : 0;
      ++counts_[std::min<std::size_t>(static_cast<std::size_t>(std::max(bin, 0.)), kBins - 1)];
    }
    total_ += elements.size();
  }

  /// The smallest range of whole bins that leaves at most `share` of all elements outside at either end.
  Range without(double share) const {
    // A share meant to be of whole elements is not lost to rounding.
    const auto spare = static_cast<std::uint64_t>(share * static_cast<double>(total_) * (1 + 1e-9));
    std::size_t first = 0, last = kBins;
    for (std::uint64_t out = counts_[first]; out <= spare && first + 1 < last; out += counts_[first]) ++first;
    for (std::uint64_t out = counts_[last - 1]; out <= spare && first + 1 < last; out += counts_[last - 1])
      --last;
    return {std::min(edge(first), 0.f), std::max(edge(last), 0.f)};
  }

  /// The range whose 256 codes are nearest to the elements, in the mean square: what lies outside moves to
  /// its ends, what lies inside by a twelfth of the squared step, zeros not at all.
  Range nearest() const {
    std::vector<Sums> before(kBins + 1);  // by bin: of all elements in the bins before it
    for (std::size_t bin = 0; bin < kBins; ++bin) {
      const double n = static_cast<double>(counts_[bin]);
      const double x = (static_cast<double>(edge(bin)) + static_cast<double>(edge(bin + 1))) / 2;
      before[bin + 1] = {before[bin].n + n, before[bin].x + n * x, before[bin].xx + n * x * x};
    }
    Range best = whole_;
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t first = 0; first < kBins && (first == 0 || edge(first) <= 0); first += kStride)
      for (std::size_t last = kBins; last > first && (last == kBins || edge(last) >= 0); last -= kStride) {
        const Range range{std::min(edge(first), 0.f), std::max(edge(last), 0.f)};
        const double low = static_cast<double>(range.min), high = static_cast<double>(range.max);
        const double step = (high - low) / 255;
        const double inside = before[last].n - before[first].n - static_cast<double>(zeros_);
        const double error = distance(before[first], low) + distance(before[kBins] - before[last], high) +
                             inside * step * step / 12;
        if (error < least) least = error, best = range;
      }
    return best;
  }

 private:
  /// Of some elements: how many, their sum, the sum of their squares.
  struct Sums {
    double n = 0, x = 0, xx = 0;
    Sums operator-(const Sums& other) const { return {n - other.n, x - other.x, xx - other.xx}; }
  };
  /// Sum of the squared distances to `point`.
  static double distance(const Sums& sums, double point) {
    return sums.xx - 2 * point * sums.x + point * point * sums.n;
  }

  static constexpr std::size_t kStride = 16;  // bins from one candidate for an end to the next
  static constexpr std::size_t kBins = 2048;

  float edge(std::size_t bin) const {
    if (bin == 0) return whole_.min;
    if (bin == kBins) return whole_.max;
    const double low = static_cast<double>(whole_.min), high = static_cast<double>(whole_.max);
    return static_cast<float>(low + (high - low) * static_cast<double>(bin) / kBins);
  }

  Range whole_;
  std::vector<std::uint64_t> counts_;
  std::uint64_t total_ = 0, zeros_ = 0;
};

/// Calls visit(id, elements) for every activation of every batch.
void watch(const graph::Graph& graph, std::span<const Tensor> batches,
           FunctionRef<void(graph::ValueId, std::span<const float>)> visit) {
  for (const Tensor& batch : batches)
    evaluate(graph, std::span(&batch, 1),
             [&](graph::ValueId id, const Tensor& value) { visit(id, value.span<float>()); });
}

void narrow(const graph::Graph& graph, std::span<const Tensor> batches, const CalibrationOptions& options,
            Ranges& ranges) {
  std::vector<std::optional<Histogram>> histograms;
  for (const auto& range : ranges)
    histograms.push_back(range ? std::optional<Histogram>(*range) : std::nullopt);
  watch(graph, batches, [&](graph::ValueId id, std::span<const float> elements) {
    histograms[static_cast<std::size_t>(id)]->add(elements);
  });
  const auto at_border = [&](std::size_t id) {
    return std::ranges::count(graph.inputs(), static_cast<graph::ValueId>(id)) > 0 ||
           std::ranges::count(graph.outputs(), static_cast<graph::ValueId>(id)) > 0;
  };
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    if (!histograms[i]) continue;
    if (options.estimator == Estimator::percentile)
      ranges[i] = histograms[i]->without((100 - options.percentage) / 200);
    else if (!at_border(i))
      ranges[i] = histograms[i]->nearest();
  }
}

}  // namespace

Ranges calibrate(const graph::Graph& graph, std::span<const Tensor> batches,
                 const CalibrationOptions& options) {
  check(!batches.empty(), "calibrate: there are no images");
  check(graph.inputs().size() == 1, "calibrate: graphs with one input are expected, this one has {}",
        graph.inputs().size());
  check(options.percentage > 50 && options.percentage <= 100,
        "calibrate: the percentage must be above 50 and at most 100, given {}", options.percentage);
  const NoGrad no_grad;
  Ranges ranges(graph.values().size());
  watch(graph, batches, [&](graph::ValueId id, std::span<const float> elements) {
    std::optional<Range>& range = ranges[static_cast<std::size_t>(id)];
    if (!range) range = Range{};
    if (!extend(*range, elements))
      fail("calibrate: {} has values that are not finite", describe_value(graph, id));
  });
  if (options.estimator != Estimator::min_max) narrow(graph, batches, options, ranges);
  return ranges;
}

}  // namespace lathe::compress
