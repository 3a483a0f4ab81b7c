#include "../generic/kernels.h"
#include "vectors.h"

namespace lathe::runtime::avx2 {

// Constant: nothing of this file may run before the processor is known.
constexpr FastKernels kKernels = make_kernels<F32, I8, I16, quantize_f32_i8, quantize_f32_i16_loop>();

}  // namespace lathe::runtime::avx2
