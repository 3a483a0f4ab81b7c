#include "../generic/byte_kernels.h"
#include "codes.h"

namespace lathe::runtime::avx2 {

// Constant: nothing of this file may run before the processor is known.
constexpr ByteKernels kBytes = make_bytes<F32, I8, quantize_f32_i8>();

}  // namespace lathe::runtime::avx2
