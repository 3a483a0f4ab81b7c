#include "simd.h"

namespace lathe::kernels::simd {
namespace {

const Kernels kPortable{"portable", portable::kElementwise, portable::kNorm, portable::kRows,
                        portable::kDropout};

#if defined(__x86_64__)
const Kernels kAvx2{"avx2", avx2::kElementwise, avx2::kNorm, avx2::kRows, avx2::kDropout};
const Kernels kAvx512{"avx512", avx512::kElementwise, avx512::kNorm, avx512::kRows, avx512::kDropout};

bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}
#endif

}  // namespace

const Kernels* kernels_of_level(int level) {
#if defined(__x86_64__)
  if (level == 2) return has_avx512() ? &kAvx512 : nullptr;
  if (level == 1) return has_avx2() ? &kAvx2 : nullptr;
#endif
  return level == 0 ? &kPortable : nullptr;
}

const Kernels& simd() {
  static const Kernels& best = []() -> const Kernels& {
    for (int level = kLevels - 1; level > 0; --level)
      if (const Kernels* kernels = kernels_of_level(level)) return *kernels;
    return kPortable;
  }();
  return best;
}

}  // namespace lathe::kernels::simd
