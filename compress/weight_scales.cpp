#include "weight_scales.h"

#include <lathe/graph/quantization.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace lathe::compress {
namespace {

using Values = std::vector<double>;

constexpr double kSame = 1e-6;        ///< relative: products are rounded to float
constexpr std::size_t kMost = 254;    ///< more values than int8 has codes make no codebook
constexpr std::size_t kMatched = 64;  ///< larger codebooks are not looked for behind factors

/// The different values other than 0, ascending.
Values different(std::span<const float> weights) {
  Values values(weights.begin(), weights.end());
  std::ranges::sort(values);
  values.erase(std::unique(values.begin(), values.end()), values.end());
  std::erase(values, 0.0);
  return values;
}

/// Is there a value in the ascending codebook that is `value`, but for rounding?
bool holds(const Values& codebook, double value) {
  const double slack = std::abs(value) * kSame;
  const auto next = std::ranges::lower_bound(codebook, value - slack);
  return next != codebook.end() && *next <= value + slack;
}

struct Match {
  double factor = 0;
  std::size_t matched = 0;
};

/// The factor by which most of the values are those of the codebook.
Match match(const Values& codebook, const Values& values) {
  Match best;
  for (double anchor : values) {
    for (double entry : codebook) {
      const double factor = anchor / entry;
      std::size_t matched = 0;
      for (double value : values) matched += holds(codebook, value / factor) ? 1 : 0;
      if (matched > best.matched) best = {factor, matched};
    }
    if (best.matched == values.size()) break;
  }
  return best;
}

/// One codebook for all channels, and the factor of each; empty when there is none.
struct Codebook {
  Values values;
  Values factors;
};

/// Values are shared when each is found in two channels or more, on average.
bool is_shared(std::size_t in_channels, std::size_t in_all) {
  return in_all > 0 && in_all <= kMost && in_channels >= 2 * in_all;
}

std::optional<Codebook> shared_codebook(std::span<const float> weights, std::size_t channels) {
  const std::size_t taps = weights.size() / channels;
  std::vector<Values> of_channel;
  std::size_t in_channels = 0, widest = 0;
  for (std::size_t c = 0; c < channels; ++c) {
    of_channel.push_back(different(weights.subspan(c * taps, taps)));
    in_channels += of_channel.back().size();
    if (of_channel[c].size() > of_channel[widest].size()) widest = c;
    if (of_channel[c].size() > kMost) return {};
  }
  Codebook codebook{different(weights), Values(channels, 1)};
  if (is_shared(in_channels, codebook.values.size())) return codebook;

  codebook.values = of_channel[widest];
  std::vector<std::size_t> order(channels);
  for (std::size_t c = 0; c < channels; ++c) order[c] = c;
  std::ranges::stable_sort(order, std::greater{}, [&](std::size_t c) { return of_channel[c].size(); });
  for (std::size_t c : order) {
    const Values& values = of_channel[c];
    if (values.empty() || c == widest) continue;
    if (codebook.values.size() > kMatched) return {};
    const Match found = match(codebook.values, values);
    // One value fits everything; two more that fit are no accident.
    if (found.matched < std::min<std::size_t>(3, values.size())) return {};
    codebook.factors[c] = found.factor;
    for (double value : values)
      if (!holds(codebook.values, value / found.factor)) codebook.values.push_back(value / found.factor);
    std::ranges::sort(codebook.values);
  }
  if (!is_shared(in_channels, codebook.values.size())) return {};
  return codebook;
}

std::vector<float> scales_of(const Codebook& codebook) {
  const double largest = std::max(std::abs(codebook.values.front()), std::abs(codebook.values.back()));
  std::vector<float> scales;
  for (double factor : codebook.factors)
    scales.push_back(static_cast<float>(largest * std::abs(factor) / 127));
  return scales;
}

}  // namespace

bool lossless(std::span<const float> weights, std::span<const float> scales) {
  const std::size_t taps = weights.size() / scales.size();
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double scale = static_cast<double>(scales[i / taps]);
    const double code = scale > 0 ? static_cast<double>(weights[i]) / scale : 0;
    if (std::abs(code - std::round(code)) > 1e-3 || (scale == 0 && weights[i] != 0)) return false;
  }
  return true;
}

std::vector<float> weight_scales(std::span<const float> weights, std::size_t channels) {
  const std::size_t taps = weights.size() / channels;
  std::vector<float> own;
  for (std::size_t c = 0; c < channels; ++c)
    own.push_back(graph::weight_scale(weights.subspan(c * taps, taps)));
  const auto codebook = shared_codebook(weights, channels);
  if (!codebook) return own;
  std::vector<float> shared = scales_of(*codebook);
  return lossless(weights, shared) || !lossless(weights, own) ? shared : own;
}

}  // namespace lathe::compress
