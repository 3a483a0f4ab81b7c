#include "../generic/sparse.h"
#include "codes.h"

namespace lathe::runtime::avx512 {

// Constant: nothing of this file may run before the processor is known.
constexpr SparseKernels kSparse = make_sparse<F32, I8, I16>();

}  // namespace lathe::runtime::avx512
