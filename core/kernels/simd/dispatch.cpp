#include "simd.h"

#include <lathe/base/cpu.h>

#include <atomic>
#include <cassert>

namespace lathe::kernels::simd {
namespace {

#define LATHE_KERNELS(level)                                                                        \
  {                                                                                                 \
#level, level::kElementwise, level::kNorm, level::kGatedNorm, level::kRows, level::kDropout,    \
        level::kCompression, level::kQuantization, level::kConv, level::kDepthwise, level::kLinear, \
        level::kPool, level::kPooledConv                                                            \
  }

const Kernels kPortable = LATHE_KERNELS(portable);

#if defined(__x86_64__)
const Kernels kAvx2 = LATHE_KERNELS(avx2);
const Kernels kAvx512 = LATHE_KERNELS(avx512);
#endif

const Kernels& best() {
  for (int level = kLevels - 1; level > 0; --level)
    if (const Kernels* kernels = kernels_of_level(level)) return *kernels;
  return kPortable;
}

std::atomic<const Kernels*>& current() {
  static std::atomic<const Kernels*> kernels{&best()};
  return kernels;
}

}  // namespace

const Kernels* kernels_of_level(int level) {
#if defined(__x86_64__)
  if (level == 2) return has_avx512() ? &kAvx512 : nullptr;
  if (level == 1) return has_avx2() ? &kAvx2 : nullptr;
#endif
  return level == 0 ? &kPortable : nullptr;
}

const Kernels& simd() { return *current().load(std::memory_order_relaxed); }

void use_level(int level) {
  const Kernels* kernels = kernels_of_level(level);
  assert(kernels != nullptr);
  current().store(kernels, std::memory_order_relaxed);
}

}  // namespace lathe::kernels::simd
