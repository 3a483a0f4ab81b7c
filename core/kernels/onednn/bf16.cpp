#include "bf16.h"

#include "common.h"

namespace lathe::kernels::onednn {
namespace {

using dnnl::memory;

/// Asks for what would be used: the only sign that oneDNN gives.
bool ask() try {
  constexpr auto kBf16 = memory::data_type::bf16, kF32 = memory::data_type::f32;
  const memory::desc x({1, 16, 4, 4}, kBf16, memory::format_tag::nhwc),
      weight({16, 16, 3, 3}, kBf16, memory::format_tag::any),
      y({1, 16, 2, 2}, kF32, memory::format_tag::nhwc);
  const memory::dims strides{1, 1}, padding{0, 0};
  const dnnl::convolution_forward::primitive_desc conv(
      {dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct, x, weight, y, strides, padding,
       padding},
      engine());
  const memory::desc a({16, 16}, kBf16, memory::format_tag::ab), b(a),
      c({16, 16}, kF32, memory::format_tag::ab);
  const dnnl::matmul::primitive_desc product({a, b, c}, engine());
  return true;
} catch (const dnnl::error& error) {
  if (error.status != dnnl_unimplemented) throw;
  return false;
}

}  // namespace

bool has_bf16() {
  static const bool has = ask();
  return has;
}

}  // namespace lathe::kernels::onednn
