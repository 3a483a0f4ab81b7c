#include <lathe/base/error.h>
#include <lathe/datasets/mix.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace lathe::datasets {
namespace {

constexpr float kMostAlpha = 4;  // above it the way to draw is slow, and images are halves of two in any case

void check_alpha(std::string_view method, float alpha) {
  check(alpha > 0 && alpha <= kMostAlpha, "{}: alpha is {}, expected 0 < alpha <= {}", method, alpha,
        kMostAlpha);
}

/// Beta(alpha, alpha) by Jöhnk's method (1964), in logarithms so that small alphas do not underflow.
float draw_share(float alpha, Rng& rng) {
  for (;;) {
    const auto power = [&] {
      return std::log(1.0 - static_cast<double>(rng.uniform())) / static_cast<double>(alpha);
    };
    const double x = power(), y = power();
    if (std::exp(x) + std::exp(y) > 1) continue;
    return static_cast<float>(1 / (1 + std::exp(y - x)));
  }
}

/// Which image each one is mixed with: a permutation; sets the other labels.
std::vector<std::size_t> choose_others(Batch& batch, Rng& rng) {
  std::vector<std::size_t> others(static_cast<std::size_t>(batch.size()));
  std::iota(others.begin(), others.end(), std::size_t{0});
  for (std::size_t i = others.size(); i > 1; --i) std::swap(others[i - 1], others[rng.below(i)]);
  batch.other_labels = Tensor::empty(batch.labels.shape(), Dtype::i32);
  const auto labels = batch.labels.span<std::int32_t>();
  std::ranges::transform(others, batch.other_labels.mutable_span<std::int32_t>().begin(),
                         [&](std::size_t other) { return labels[other]; });
  return others;
}

/// Neighbouring pixels of a row or column.
struct Part {
  std::int64_t begin, end;  ///< the one behind the last
  std::int64_t size() const { return end - begin; }
};

/// A share `extent` of `size` pixels around a random one, cut off at both ends.
Part random_part(std::int64_t size, double extent, Rng& rng) {
  const auto length = static_cast<std::int64_t>(extent * static_cast<double>(size));
  const auto first = static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(size))) - length / 2;
  return {std::max<std::int64_t>(first, 0), std::min(first + length, size)};
}

}  // namespace

Mixing mixup(float alpha) {
  check_alpha("mixup", alpha);
  return [alpha](Batch& batch, Rng rng) {
    batch.share = draw_share(alpha, rng);
    const std::vector<std::size_t> others = choose_others(batch, rng);
    const Tensor before = batch.images.clone();
    const auto from = before.span<float>();
    const auto out = batch.images.mutable_span<float>();
    const std::size_t size = out.size() / others.size();
    for (std::size_t i = 0; i < others.size(); ++i)
      for (std::size_t k = 0; k < size; ++k)
        out[i * size + k] = batch.share * from[i * size + k] + (1 - batch.share) * from[others[i] * size + k];
  };
}

Mixing cutmix(float alpha) {
  check_alpha("cutmix", alpha);
  return [alpha](Batch& batch, Rng rng) {
    const Shape shape = batch.images.shape();
    check(shape.rank() == 4, "cutmix: images {}, expected [N,H,W,C]", to_string(shape));
    const std::int64_t height = shape[1], width = shape[2], channels = shape[3];
    const double extent = std::sqrt(1 - static_cast<double>(draw_share(alpha, rng)));
    const std::vector<std::size_t> others = choose_others(batch, rng);
    const Part rows = random_part(height, extent, rng), columns = random_part(width, extent, rng);
    batch.share = 1 - static_cast<float>(rows.size() * columns.size()) / static_cast<float>(height * width);
    const Tensor before = batch.images.clone();
    const auto from = before.span<float>();
    const auto out = batch.images.mutable_span<float>();
    for (std::size_t i = 0; i < others.size(); ++i)
      for (std::int64_t y = rows.begin; y < rows.end; ++y) {
        const auto row = [&](std::size_t image) {
          return static_cast<std::size_t>(
              ((static_cast<std::int64_t>(image) * height + y) * width + columns.begin) * channels);
        };
        std::ranges::copy(from.subspan(row(others[i]), static_cast<std::size_t>(columns.size() * channels)),
                          out.begin() + static_cast<std::ptrdiff_t>(row(i)));
      }
  };
}

Mixing one_of(std::vector<Mixing> mixings) {
  check(!mixings.empty(), "one_of: there is nothing to choose from");
  return [mixings = std::move(mixings)](Batch& batch, Rng rng) {
    const Mixing& chosen = mixings[rng.below(mixings.size())];
    if (chosen) chosen(batch, rng.split("mixing"));
  };
}

}  // namespace lathe::datasets
