#pragma once

#include <lathe/base/function_ref.h>

#include <cstdint>

namespace lathe {

/// Threads that parallel_for uses, the caller included. Default: the cores this process may run on.
int num_threads();

/// Sets the number of threads (1..256) for the whole process. Results depend on the seed and on this number
/// only. Throws Error outside the range.
void set_num_threads(int threads);

/// Calls body(begin, end) on consecutive parts of [0, n), one part a thread, each a multiple of `grain` long
/// but the last. The split depends on n, grain and num_threads() only. A call from inside a body, or while
/// another thread holds the pool, runs as one part on the caller. Bodies must not throw.
void parallel_for(std::int64_t n, std::int64_t grain,
                  FunctionRef<void(std::int64_t begin, std::int64_t end)> body);

}  // namespace lathe
