#pragma once

#include "../fast.h"
#include "conv_tiles.h"
#include "depthwise.h"
#include "linear_dots.h"

namespace lathe::runtime {
namespace {

template <class F32>
constexpr FloatKernels make_floats() {
  return {.conv2d = conv2d<F32>, .depthwise = depthwise_f32<F32>, .linear = linear<F32>};
}

template <class Half>
constexpr HalfKernels make_halves() {
  return {.conv2d = conv2d<Half>, .linear = linear<Half>};
}

}  // namespace
}  // namespace lathe::runtime
