#include <lathe/compress/mask.h>

#include <lathe/base/error.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <functional>

namespace lathe::compress {
namespace {

/// Not negative floats in the order of their bits, NaN above all.
std::uint32_t order(float score) { return std::bit_cast<std::uint32_t>(score) & 0x7fffffffu; }

/// A weight as a matrix of [O, everything else].
struct Matrix {
  std::int64_t rows, columns;
};

Matrix as_matrix(const Shape& shape) {
  check(shape.rank() >= 2 && shape.size() > 0,
        "prune: a weight must have rank 2 or more and elements, given {}", to_string(shape));
  return {shape[0], shape.size() / shape[0]};
}

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// Calls visit(first element, length) for each group along the innermost axis.
template <typename Visit>
void for_each_group(const Shape& shape, int group, const Visit& visit) {
  as_matrix(shape);
  const std::int64_t row = shape[-1];
  for (std::int64_t start = 0; start < shape.size(); start += row)
    for (std::int64_t i = 0; i < row; i += group) visit(start + i, std::min<std::int64_t>(group, row - i));
}

}  // namespace

std::int64_t kept_count(std::int64_t n, float sparsity) {
  check(n >= 1, "prune: there is nothing to prune");
  check(sparsity >= 0 && sparsity < 1, "prune: sparsity is {}, expected 0 <= sparsity < 1", sparsity);
  const float kept = std::nearbyint(static_cast<float>(n) * (1.0f - sparsity));
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(kept), 1, n);
}

float magnitude_threshold(std::span<const float> scores, float sparsity) {
  const std::int64_t kept = kept_count(static_cast<std::int64_t>(scores.size()), sparsity);
  std::vector<std::uint32_t> ordered(scores.size());
  std::ranges::transform(scores, ordered.begin(), order);
  const auto nth = ordered.begin() + (kept - 1);
  std::ranges::nth_element(ordered, nth, std::greater());
  return std::bit_cast<float>(*nth);
}

void threshold_mask(std::span<const float> scores, float threshold, std::span<float> mask) {
  assert(scores.size() == mask.size());
  const std::uint32_t least = order(threshold);
  std::ranges::transform(scores, mask.begin(),
                         [&](float score) { return order(score) >= least ? 1.0f : 0.0f; });
}

void validate(const Structure& structure) {
  if (const auto* block = std::get_if<Block>(&structure)) {
    check(block->outputs >= 1 && block->inputs >= 1,
          "prune: a block of {} x {} must have at least one weight", block->outputs, block->inputs);
  } else {
    const auto& pattern = std::get<FineGrained>(structure);
    check(pattern.zeros >= 1 && pattern.zeros < pattern.group,
          "prune: a group of {} with {} zeros: expected at least one zero and one weight that stays",
          pattern.group, pattern.zeros);
  }
}

std::vector<float> block_scores(std::span<const float> weight, const Shape& shape, const Block& block) {
  const auto [rows, columns] = as_matrix(shape);
  assert(static_cast<std::int64_t>(weight.size()) == rows * columns);
  const std::int64_t across = ceil_div(columns, block.inputs);
  std::vector<float> scores(static_cast<std::size_t>(ceil_div(rows, block.outputs) * across), 0.0f);
  const bool average = block.pooling == Block::Pooling::average;
  for (std::int64_t r = 0; r < rows; ++r) {
    float* row = scores.data() + r / block.outputs * across;
    for (std::int64_t c = 0; c < columns; ++c) {
      const float magnitude = std::abs(weight[static_cast<std::size_t>(r * columns + c)]);
      float& score = row[c / block.inputs];
      score = average ? score + magnitude : std::bit_cast<float>(std::max(order(score), order(magnitude)));
    }
  }
  if (average && block.outputs * block.inputs > 1) {
    for (std::size_t i = 0; i < scores.size(); ++i) {
      const std::int64_t r = static_cast<std::int64_t>(i) / across * block.outputs;
      const std::int64_t c = static_cast<std::int64_t>(i) % across * block.inputs;
      scores[i] /=
          static_cast<float>(std::min(block.outputs, rows - r) * std::min(block.inputs, columns - c));
    }
  }
  return scores;
}

void expand_blocks(std::span<const float> block_mask, const Shape& shape, const Block& block,
                   std::span<float> mask) {
  const auto [rows, columns] = as_matrix(shape);
  assert(static_cast<std::int64_t>(mask.size()) == rows * columns);
  const std::int64_t across = ceil_div(columns, block.inputs);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c)
      mask[static_cast<std::size_t>(r * columns + c)] =
          block_mask[static_cast<std::size_t>(r / block.outputs * across + c / block.inputs)];
}

void fine_grained_mask(std::span<const float> weight, const Shape& shape, const FineGrained& pattern,
                       std::span<float> mask) {
  assert(weight.size() == mask.size());
  std::ranges::fill(mask, 1.0f);
  std::vector<std::int64_t> indices;
  for_each_group(shape, pattern.group, [&](std::int64_t first, std::int64_t length) {
    // The zeros that pad a short group go first.
    const std::int64_t kept = pattern.group - pattern.zeros;
    if (length <= kept) return;
    indices.clear();
    for (std::int64_t i = first; i < first + length; ++i) indices.push_back(i);
    std::ranges::stable_sort(indices, std::greater(),
                             [&](std::int64_t i) { return order(weight[static_cast<std::size_t>(i)]); });
    for (std::size_t i = static_cast<std::size_t>(kept); i < indices.size(); ++i)
      mask[static_cast<std::size_t>(indices[i])] = 0.0f;
  });
}

bool is_fine_grained(std::span<const float> weight, const Shape& shape, const FineGrained& pattern) {
  assert(static_cast<std::int64_t>(weight.size()) == shape.size());
  bool holds = true;
  for_each_group(shape, pattern.group, [&](std::int64_t first, std::int64_t length) {
    const auto group = weight.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(length));
    const std::int64_t nonzero = length - std::ranges::count(group, 0.0f);
    holds = holds && nonzero <= pattern.group - pattern.zeros;
  });
  return holds;
}

}  // namespace lathe::compress
