#pragma once

#include "../fast.h"
#include "dynamic.h"

namespace lathe::runtime {
namespace {

/// kQuantize: the level's own quantization.
template <class F32, class I8, Kernel kQuantize>
constexpr ByteKernels make_bytes() {
  using Real = Dynamic<I8, F32>;
  return {.conv2d = conv2d<I8>,
          .depthwise = depthwise_codes<I8>,
          .linear = linear<I8>,
          .conv2d_dynamic = dynamic<PackedConv, kQuantize, conv2d<Real>>,
          .depthwise_dynamic = dynamic<PackedDepthwiseCodes, kQuantize, depthwise_codes<Real>>,
          .linear_dynamic = dynamic<PackedLinear, kQuantize, linear<Real>>};
}

}  // namespace
}  // namespace lathe::runtime
