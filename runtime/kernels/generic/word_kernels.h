#pragma once

#include "../fast.h"
#include "conv_tiles.h"
#include "depthwise_codes.h"
#include "linear_dots.h"
#include "wide.h"

namespace lathe::runtime {
namespace {

template <class I16>
constexpr WordKernels make_words() {
  return {.conv2d = conv2d<I16>,
          .conv2d_wide = conv2d<Wide<I16>>,
          .depthwise = depthwise_codes<I16>,
          .linear = linear<Wide<I16>>};
}

}  // namespace
}  // namespace lathe::runtime
