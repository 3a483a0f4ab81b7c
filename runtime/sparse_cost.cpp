#include "sparse_cost.h"

namespace lathe::runtime {

namespace {

/// Nanoseconds each, on a Xeon (Cascade Lake) at 2.5 GHz.
struct ConvCost {
  double dense_product, dense_output, vector, sums, moved;
};
struct LinearCost {
  double near_weight, far_weight;  ///< of layers that stay in the second-level cache, and of larger ones
  double group, output;
};

constexpr ConvCost kConvAvx512{0.0154, 0.065, 0.549, 1.249, 0.21},
    kConvAvx2{0.0248, 0.23, 0.771, 0.694, 0.205}, kSampledAvx512{0.0154, 0.065, 0.355, 1.0, 0.138};
constexpr LinearCost kLinearAvx512{0.045, 0.16, 12, 20}, kLinearAvx2{0.066, 0.156, 20, 20};

constexpr std::int64_t kNearWeights = 768 * 1024 / 4;

}  // namespace

SparseTimes estimate(const ConvWork& work, Level level) {
  if (level < Level::avx2) return {.dense = 0, .sparse = 1};  // not measured
  const ConvCost& cost = work.sampled ? kSampledAvx512 : level == Level::avx512 ? kConvAvx512 : kConvAvx2;
  return {.dense = cost.dense_product * static_cast<double>(work.dense_products) +
                   cost.dense_output * static_cast<double>(work.dense_outputs),
          .sparse = cost.vector * static_cast<double>(work.vectors) +
                    cost.sums * static_cast<double>(work.sums) +
                    cost.moved * static_cast<double>(work.moved)};
}

SparseTimes estimate(const LinearWork& work, Level level) {
  if (level < Level::avx2) return {.dense = 0, .sparse = 1};  // not measured
  const LinearCost& cost = level == Level::avx512 ? kLinearAvx512 : kLinearAvx2;
  const double each = work.weights <= kNearWeights ? cost.near_weight : cost.far_weight;
  return {.dense = each * static_cast<double>(work.weights),
          .sparse = cost.group * static_cast<double>(work.groups) +
                    cost.output * static_cast<double>(work.outputs)};
}

}  // namespace lathe::runtime
