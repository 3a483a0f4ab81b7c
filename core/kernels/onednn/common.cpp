#include "common.h"

#include <dlfcn.h>

namespace lathe::kernels::onednn {
namespace {

/// The two functions of the OpenMP runtime that oneDNN brought into the process, whichever that is; linking
/// one here could bring in a second runtime. Null when oneDNN was built without OpenMP.
struct OpenMp {
  int (*get_max_threads)() = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "omp_get_max_threads"));
  void (*set_num_threads)(int) = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
};

const OpenMp& open_mp() {
  static const OpenMp functions;
  return functions;
}

}  // namespace

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

SingleThreaded::SingleThreaded()
    : before_(open_mp().get_max_threads != nullptr ? open_mp().get_max_threads() : 0) {
  if (before_ > 1) open_mp().set_num_threads(1);
}

SingleThreaded::~SingleThreaded() {
  if (before_ > 1) open_mp().set_num_threads(before_);
}

}  // namespace lathe::kernels::onednn
