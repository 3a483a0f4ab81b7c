#include "../kernels/simd/simd.h"
#include "inputs.h"

#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace lathe {
namespace {

using kernels::simd::simd;

Grads dropout_backward(const Node& node, const Tensor& grad) {
  const float factor = 1 / (1 - std::get<graph::Dropout>(node.op).rate);
  Tensor dx = reuse(grad);
  for_each_part(grad.size(), [&, dy = read(grad), keep = node.saved[0].span<std::uint8_t>().data(),
                              to = write(dx)](std::int64_t begin, std::int64_t size) {
    simd().dropout.drop_backward(dy + begin, keep + begin, factor, to + begin, size);
  });
  return {dx};
}

}  // namespace

Tensor dropout(const Tensor& x, float rate, Rng& rng) {
  const graph::Dropout op{rate};
  Tensor y = Tensor::empty(infer_f32(op, {&x}));
  Tensor keep = Tensor::empty(x.shape(), Dtype::u8);
  const Rng::State state = rng.state();
  const float factor = 1 / (1 - rate);
  // An element is dropped when its uniform number, a multiple of 2^-24, is below the rate.
  const auto threshold = static_cast<std::uint32_t>(std::ceil(static_cast<double>(rate) * 0x1p24));
  for_each_part(x.size(), [&, from = read(x), to = write(y), kept = keep.mutable_span<std::uint8_t>().data()](
                              std::int64_t begin, std::int64_t size) {
    constexpr std::int64_t kBlocks = 256;
    std::array<std::uint32_t, 4 * kBlocks> words;
    for (std::int64_t i = begin; i < begin + size;) {
      // Element i takes the word position + i, which is in the middle of a block of four at times.
      const std::uint64_t position = state.position + static_cast<std::uint64_t>(i);
      const auto skipped = static_cast<std::int64_t>(position % 4);
      const std::int64_t count = std::min(4 * kBlocks - skipped, begin + size - i);
      simd().dropout.random_words(state.seed, state.stream, position / 4, (skipped + count + 3) / 4,
                                  words.data());
      simd().dropout.drop(from + i, words.data() + skipped, threshold, factor, to + i, kept + i, count);
      i += count;
    }
  });
  rng = Rng(Rng::State{state.seed, state.stream, state.position + static_cast<std::uint64_t>(x.size())});
  return record(op, {&x, 1}, y, {keep}, dropout_backward);
}

}  // namespace lathe
