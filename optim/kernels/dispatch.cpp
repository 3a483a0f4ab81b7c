#include "dispatch.h"

#include <array>

namespace lathe::optim::kernels {
namespace {

struct Available {
  std::array<const Table*, 3> tables{&portable::kTable};
  std::size_t count = 1;

  Available() {
#if defined(__x86_64__)
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("f16c"))
      return;
    tables[count++] = &avx2::kTable;
    for (const bool present :
         {__builtin_cpu_supports("avx512f") != 0, __builtin_cpu_supports("avx512bw") != 0,
          __builtin_cpu_supports("avx512dq") != 0, __builtin_cpu_supports("avx512vl") != 0,
          __builtin_cpu_supports("avx512vnni") != 0})
      if (!present) return;
    tables[count++] = &avx512::kTable;
#endif
  }
};

}  // namespace

std::span<const Table* const> available() {
  static const Available instance;
  return {instance.tables.data(), instance.count};
}

}  // namespace lathe::optim::kernels
