#include "../generic/sparse.h"
#include "codes.h"

namespace lathe::runtime::portable {

// Constant: nothing of this file may run before the processor is known.
constexpr SparseKernels kSparse = make_sparse<F32, I8, I16>();

}  // namespace lathe::runtime::portable
