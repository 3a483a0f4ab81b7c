#include "../generic/element_kernels.h"
#include "codes.h"
#include "elementwise.h"

namespace lathe::runtime::avx2 {

// Constant: nothing of this file may run before the processor is known.
constexpr Blocking kBlocking = make_blocking<F32, I8, I16>();
constexpr ElementKernels kElements = make_elements<F32, I8, I16>({.table_i8 = shuffled_table_i8,
                                                                  .quantize_f32_i8 = quantize_f32_i8,
                                                                  .quantize_f32_i16 = quantize_f32_i16_loop});
constexpr Kernel kRealAdd = real_add;

}  // namespace lathe::runtime::avx2
