#include "kernel_table.h"

#include "kernels/reference/reference.h"
#include "prepare.h"

#include <type_traits>
#include <variant>
#include <vector>

namespace lathe::runtime {

namespace {

/// Position of an op in the vocabulary.
template <typename Op, std::size_t kIndex = 0>
constexpr std::size_t index_of() {
  if constexpr (std::is_same_v<Op, std::variant_alternative_t<kIndex, graph::Op>>) {
    return kIndex;
  } else {
    return index_of<Op, kIndex + 1>();
  }
}

constexpr Dtype f32 = Dtype::f32, i8 = Dtype::i8, u8 = Dtype::u8;
constexpr bool kInPlace = true;

/// Built once; never changes.
const std::vector<KernelEntry>& table() {
  using namespace graph;
  using enum Level;
  namespace ref = runtime::reference;
  static const std::vector<KernelEntry> entries = {
      {index_of<Conv2d>(), f32, f32, reference, prepare_conv_f32, ref::conv2d_f32, "conv2d_f32"},
      {index_of<Conv2d>(), i8, i8, reference, prepare_conv_i8, ref::conv2d_i8, "conv2d_i8"},
      {index_of<Linear>(), f32, f32, reference, prepare_conv_f32, ref::conv2d_f32, "linear_f32"},
      {index_of<Linear>(), i8, i8, reference, prepare_conv_i8, ref::conv2d_i8, "linear_i8"},

      {index_of<MaxPool2d>(), f32, f32, reference, prepare_pool, ref::max_pool2d_f32, "max_pool2d_f32"},
      {index_of<MaxPool2d>(), i8, i8, reference, prepare_pool, ref::max_pool2d_i8, "max_pool2d_i8"},
      {index_of<AvgPool2d>(), f32, f32, reference, prepare_pool, ref::avg_pool2d_f32, "avg_pool2d_f32"},
      {index_of<AvgPool2d>(), i8, i8, reference, prepare_pool, ref::avg_pool2d_i8, "avg_pool2d_i8"},
      {index_of<GlobalAvgPool>(), f32, f32, reference, prepare_pool, ref::avg_pool2d_f32,
       "global_avg_pool_f32"},
      {index_of<GlobalAvgPool>(), i8, i8, reference, prepare_global_pool_i8, ref::global_avg_pool_i8,
       "global_avg_pool_i8"},

      {index_of<BatchNorm>(), f32, f32, reference, prepare_batch_norm, ref::scale_shift_f32, "batch_norm_f32",
       kInPlace},
      {index_of<Activate>(), f32, f32, reference, prepare_clamp, ref::clamp_f32, "clamp_f32", kInPlace},
      {index_of<Activate>(), f32, f32, reference, prepare_activation<Activation::sigmoid>, ref::sigmoid_f32,
       "sigmoid_f32", kInPlace},
      {index_of<Activate>(), f32, f32, reference, prepare_activation<Activation::silu>, ref::silu_f32,
       "silu_f32", kInPlace},
      {index_of<Activate>(), i8, i8, reference, prepare_table_i8, ref::table_i8, "table_i8", kInPlace},
      {index_of<graph::Softmax>(), f32, f32, reference, prepare_softmax, ref::softmax_f32, "softmax_f32",
       kInPlace},
      {index_of<graph::Softmax>(), i8, i8, reference, prepare_softmax, ref::softmax_i8, "softmax_i8"},
      {index_of<LogSoftmax>(), f32, f32, reference, prepare_softmax, ref::log_softmax_f32, "log_softmax_f32",
       kInPlace},
      {index_of<LogSoftmax>(), i8, i8, reference, prepare_softmax, ref::log_softmax_i8, "log_softmax_i8"},

      {index_of<Add>(), f32, f32, reference, prepare_add_f32, ref::add_f32, "add_f32", kInPlace},
      {index_of<Add>(), i8, i8, reference, prepare_add_i8, ref::add_i8, "add_i8", kInPlace},
      {index_of<Multiply>(), f32, f32, reference, prepare_multiply_f32, ref::multiply_f32, "multiply_f32",
       kInPlace},
      {index_of<Multiply>(), f32, f32, reference, prepare_multiply_channels_f32, ref::multiply_channels_f32,
       "multiply_channels_f32", kInPlace},
      {index_of<Multiply>(), i8, i8, reference, prepare_multiply_i8, ref::multiply_i8, "multiply_i8",
       kInPlace},
      {index_of<Multiply>(), i8, i8, reference, prepare_multiply_channels_i8, ref::multiply_channels_i8,
       "multiply_channels_i8", kInPlace},

      {index_of<Concat>(), f32, f32, reference, prepare_concat, ref::copy_slices, "concat"},
      {index_of<Concat>(), i8, i8, reference, prepare_concat, ref::copy_slices, "concat"},
      {index_of<Pad>(), f32, f32, reference, prepare_pad, ref::pad_image, "pad"},
      {index_of<Pad>(), i8, i8, reference, prepare_pad, ref::pad_image, "pad"},
      {index_of<Quantize>(), f32, i8, reference, prepare_quantize, ref::quantize_f32_i8, "quantize_f32_i8"},
      {index_of<Quantize>(), u8, i8, reference, prepare_shift, ref::shift_u8_i8, "shift_u8_i8", kInPlace},
      {index_of<Dequantize>(), i8, f32, reference, prepare_dequantize, ref::dequantize_i8_f32,
       "dequantize_i8_f32"},
  };
  return entries;
}

}  // namespace

std::span<const KernelEntry> kernel_table() { return table(); }

}  // namespace lathe::runtime
