#include "../generic/word_kernels.h"
#include "codes.h"

namespace lathe::runtime::avx512 {

// Constant: nothing of this file may run before the processor is known.
constexpr WordKernels kWords = make_words<I16>();

}  // namespace lathe::runtime::avx512
