#include "floats.h"
#include "../generic/float_kernels.h"

namespace lathe::runtime::avx2 {

// Constant: nothing of this file may run before the processor is known.
constexpr FloatKernels kFloats = make_floats<F32>();
constexpr HalfKernels kHalves = make_halves<Half>();

}  // namespace lathe::runtime::avx2
