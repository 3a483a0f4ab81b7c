#include "../generic/element_kernels.h"
#include "codes.h"
#include "elementwise.h"

namespace lathe::runtime::avx512 {

namespace {

struct Own {
  static constexpr Kernel kTable = shuffled_table_i8;
  static constexpr Kernel kQuantize = quantize_f32_i8, kQuantizeI16 = quantize_f32_i16;
};

}  // namespace

// Constant: nothing of this file may run before the processor is known.
constexpr Blocking kBlocking = make_blocking<F32, I8, I16>();
constexpr ElementKernels kElements = make_elements<F32, I8, I16, Own>();

}  // namespace lathe::runtime::avx512
