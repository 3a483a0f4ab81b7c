#pragma once

#include <lathe/base/shape.h>

#include <cstdint>
#include <span>
#include <variant>
#include <vector>

/// Which weights pruning keeps. Pure functions on numbers; prune.h attaches them to a model.
/// Weights are as in graph/op.h: convolutions [O,KH,KW,I/g], linear layers [O,I]. Masks hold 1 (kept) and 0.
namespace lathe::compress {

/// How many of n stay: max(1, n * (1 - sparsity) rounded, halves to even), computed in float. Throws Error
/// unless n >= 1 and 0 <= sparsity < 1.
std::int64_t kept_count(std::int64_t n, float sparsity);

/// The kept_count-th largest score. Scores are magnitudes: not negative.
float magnitude_threshold(std::span<const float> scores, float sparsity);

/// mask = score >= threshold. All ties at the threshold stay, so the sparsity may be under the target, never
/// over. A score that is NaN stays, and is there to be found.
void threshold_mask(std::span<const float> scores, float threshold, std::span<float> mask);

/// Whole blocks stay or go. The weight is seen as a matrix of O rows (output channels) and KH*KW*I/g columns
/// in the order of memory (kernel row, kernel column, input channel); blocks of outputs x inputs start at
/// element (0,0), those at the far edges are cut off. 1 x 1: single weights.
///
/// Deviations from the TensorFlow Model Optimization Toolkit: convolutions too; `outputs` and `inputs` are
/// named because the matrix is transposed there; its pooling windows start before the matrix where the sizes
/// do not divide.
struct Block {
  enum class Pooling { average, max };
  std::int64_t outputs = 1;
  std::int64_t inputs = 1;
  Pooling pooling =
      Pooling::average;  ///< how the magnitudes of a block (those inside the matrix) make its score
};

/// In every group of `group` weights that are neighbours along the input channels, the `zeros` smallest go:
/// {2, 4} is the 2:4 pattern (Mishra et al. 2021). The last group of a row may be shorter; it counts as
/// padded with zeros.
struct FineGrained {
  int zeros = 2;
  int group = 4;
};

using Structure = std::variant<Block, FineGrained>;

/// Throws Error naming the option that is out of range.
void validate(const Structure& structure);

/// One score a block, row of blocks by row of blocks: with 1 x 1 the magnitudes. Throws Error when the rank
/// is under 2.
std::vector<float> block_scores(std::span<const float> weight, const Shape& shape, const Block& block);

/// Repeats each block's decision over its weights.
void expand_blocks(std::span<const float> block_mask, const Shape& shape, const Block& block,
                   std::span<float> mask);

/// Of equal magnitudes the first stays.
void fine_grained_mask(std::span<const float> weight, const Shape& shape, const FineGrained& pattern,
                       std::span<float> mask);

/// Does every group hold at most group - zeros weights that are not zero?
bool is_fine_grained(std::span<const float> weight, const Shape& shape, const FineGrained& pattern);

}  // namespace lathe::compress
