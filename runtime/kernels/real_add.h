#pragma once

#include "kernel.h"

/// Sum of two images of 8-bit codes in single precision, where that gives the codes of fixed point for all
/// pairs of codes (runtime/real_rescale.h).
namespace lathe::runtime {

/// code = nearest(fma(a, first, fma(b, second, offset))), limited. Unit: an element.
struct RealAddI8 {
  float first = 0, second = 0, offset = 0;
  std::int32_t low = -128, high = 127;
};

namespace avx2 {
extern const Kernel kRealAdd;
}
namespace avx512 {
extern const Kernel kRealAdd;
}

}  // namespace lathe::runtime
