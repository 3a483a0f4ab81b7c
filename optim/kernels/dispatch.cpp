#include "dispatch.h"

#include <lathe/base/cpu.h>

#include <array>

namespace lathe::optim::kernels {
namespace {

struct Available {
  std::array<const Table*, 3> tables{&portable::kTable};
  std::size_t count = 1;

  Available() {
#if defined(__x86_64__)
    if (has_avx2()) tables[count++] = &avx2::kTable;
    if (has_avx512()) tables[count++] = &avx512::kTable;
#endif
  }
};

}  // namespace

std::span<const Table* const> available() {
  static const Available instance;
  return {instance.tables.data(), instance.count};
}

}  // namespace lathe::optim::kernels
