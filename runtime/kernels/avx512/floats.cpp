#include "floats.h"
#include "../generic/float_kernels.h"
#include "../generic/palette_dots.h"
#include "palette.h"

namespace lathe::runtime::avx512 {

// Constant: nothing of this file may run before the processor is known.
constexpr FloatKernels kFloats = make_floats<F32>();
constexpr HalfKernels kHalves = make_halves<Half>();
constexpr Kernel kPaletteLinear = palette_linear<Palette>;

}  // namespace lathe::runtime::avx512
