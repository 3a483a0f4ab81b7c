#include "kernel_table.h"

#include "kernels/palette.h"
#include "kernels/real_add.h"
#include "kernels/reference/reference.h"
#include "prepare.h"
#include "prepare_packed.h"

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

constexpr Dtype f32 = Dtype::f32, i8 = Dtype::i8, u8 = Dtype::u8, i16 = Dtype::i16;
constexpr bool kInPlace = true;

/// Appends entries of one level to a table.
class Adder {
 public:
  Adder(Level level, const Blocking* blocking, std::vector<KernelEntry>& to)
      : level_(level), blocking_(blocking), to_(to) {}
  KernelEntry& operator()(std::size_t op, Dtype in, Dtype out, Prepare prepare, Kernel run,
                          std::string_view name, bool in_place = false) const {
    return to_.emplace_back(KernelEntry{.op = op,
                                        .input = in,
                                        .output = out,
                                        .level = level_,
                                        .prepare = prepare,
                                        .run = run,
                                        .name = name,
                                        .blocking = blocking_,
                                        .in_place = in_place});
  }

 private:
  Level level_;
  const Blocking* blocking_;
  std::vector<KernelEntry>& to_;
};

/// Kernels that not every level has.
struct RareKernels {
  Kernel palette_linear = nullptr;  // PaletteLinear
  Kernel real_add = nullptr;        // RealAddI8
};

/// The entries of the vector kernels of a level.
void add_fast(Level level, const FastKernels& k, const RareKernels& rare, std::vector<KernelEntry>& to) {
  using namespace graph;
  const Adder add(level, &k.blocking, to);
  const auto add_pooled = [&](Dtype dtype, Prepare prepare, Kernel run,
                              std::string_view name) -> KernelEntry& {
    KernelEntry& entry = add(index_of<Conv2d>(), dtype, dtype, prepare, run, name);
    entry.pooled = true;
    return entry;
  };
  add_pooled(f32, prepare_block_conv_f32, k.sparse.block_conv2d_f32, "block_sparse_conv2d_max_pool_f32")
      .sparse = true;
  add_pooled(f32, prepare_sparse_conv_f32, k.sparse.conv2d, "sparse_conv2d_max_pool_f32").sparse = true;
  add_pooled(f32, prepare_packed_conv_f32, k.floats.conv2d, "conv2d_max_pool_f32");
  add_pooled(i8, prepare_block_conv_i8, k.sparse.block_conv2d_i8, "block_sparse_conv2d_max_pool_i8").sparse =
      true;
  add_pooled(i8, prepare_packed_conv_i8, k.bytes.conv2d, "conv2d_max_pool_i8");
  add_pooled(i16, prepare_block_conv_i16, k.sparse.block_conv2d_i16, "block_sparse_conv2d_max_pool_i16")
      .sparse = true;
  add_pooled(i16, prepare_packed_conv_i16, k.words.conv2d, "conv2d_max_pool_i16");
  add_pooled(i16, prepare_packed_conv_i16_wide, k.words.conv2d_wide, "conv2d_max_pool_i16_wide");
  add(index_of<Conv2d>(), f32, f32, prepare_packed_depthwise_f32, k.floats.depthwise, "depthwise_f32");
  add(index_of<Conv2d>(), i8, i8, prepare_packed_depthwise_i8, k.bytes.depthwise, "depthwise_i8");
  add(index_of<Conv2d>(), i16, i16, prepare_packed_depthwise_i16, k.words.depthwise, "depthwise_i16");
  add(index_of<Conv2d>(), f32, f32, prepare_block_conv_f32, k.sparse.block_conv2d_f32,
      "block_sparse_conv2d_f32")
      .sparse = true;
  add(index_of<Conv2d>(), f32, f32, prepare_sparse_conv_f32, k.sparse.conv2d, "sparse_conv2d_f32").sparse =
      true;
  if (k.halves.conv2d != nullptr)
    add(index_of<Conv2d>(), f32, f32, prepare_half_conv_f32, k.halves.conv2d, "half_conv2d_f32");
  add(index_of<Conv2d>(), f32, f32, prepare_packed_conv_f32, k.floats.conv2d, "conv2d_f32");
  add(index_of<Conv2d>(), i8, i8, prepare_block_conv_i8, k.sparse.block_conv2d_i8, "block_sparse_conv2d_i8")
      .sparse = true;
  add(index_of<Conv2d>(), i8, i8, prepare_packed_conv_i8, k.bytes.conv2d, "conv2d_i8");
  add(index_of<Conv2d>(), i16, i16, prepare_block_conv_i16, k.sparse.block_conv2d_i16,
      "block_sparse_conv2d_i16")
      .sparse = true;
  add(index_of<Conv2d>(), i16, i16, prepare_packed_conv_i16, k.words.conv2d, "conv2d_i16");
  add(index_of<Conv2d>(), i16, i16, prepare_packed_conv_i16_wide, k.words.conv2d_wide, "conv2d_i16_wide");
  add(index_of<Linear>(), f32, f32, prepare_sparse_linear_f32, k.sparse.linear, "sparse_linear_f32").sparse =
      true;
  if (rare.palette_linear != nullptr)
    add(index_of<Linear>(), f32, f32, prepare_palette_linear_f32, rare.palette_linear, "palette_linear_f32");
  if (k.halves.linear != nullptr)
    add(index_of<Linear>(), f32, f32, prepare_half_linear_f32, k.halves.linear, "half_linear_f32");
  add(index_of<Linear>(), f32, f32, prepare_packed_linear_f32, k.floats.linear, "linear_f32");
  add(index_of<Linear>(), i8, i8, prepare_packed_linear_i8, k.bytes.linear, "linear_i8");
  add(index_of<Linear>(), i16, i16, prepare_packed_linear_i16, k.words.linear, "linear_i16");
  add_pooled(f32, prepare_packed_conv_dynamic, k.bytes.conv2d_dynamic, "conv2d_max_pool_dynamic").dynamic =
      true;
  add(index_of<Conv2d>(), f32, f32, prepare_packed_depthwise_dynamic, k.bytes.depthwise_dynamic,
      "depthwise_dynamic")
      .dynamic = true;
  add(index_of<Conv2d>(), f32, f32, prepare_packed_conv_dynamic, k.bytes.conv2d_dynamic, "conv2d_dynamic")
      .dynamic = true;
  add(index_of<Linear>(), f32, f32, prepare_packed_linear_dynamic, k.bytes.linear_dynamic, "linear_dynamic")
      .dynamic = true;
  add(index_of<MaxPool2d>(), f32, f32, prepare_pool, k.elements.max_pool2d_f32, "max_pool2d_f32");
  add(index_of<MaxPool2d>(), i8, i8, prepare_pool, k.elements.max_pool2d_i8, "max_pool2d_i8");
  add(index_of<MaxPool2d>(), i16, i16, prepare_pool, k.elements.max_pool2d_i16, "max_pool2d_i16");
  add(index_of<AvgPool2d>(), f32, f32, prepare_pool, k.elements.avg_pool2d_f32, "avg_pool2d_f32");
  add(index_of<GlobalAvgPool>(), f32, f32, prepare_pool, k.elements.global_avg_pool_f32,
      "global_avg_pool_f32");
  add(index_of<GlobalAvgPool>(), i8, i8, prepare_packed_global_pool_i8, k.elements.global_avg_pool_i8,
      "global_avg_pool_i8");
  add(index_of<GlobalAvgPool>(), i16, i16, prepare_packed_global_pool_i16, k.elements.global_avg_pool_i16,
      "global_avg_pool_i16");
  add(index_of<BatchNorm>(), f32, f32, prepare_batch_norm, k.elements.scale_shift_f32, "batch_norm_f32",
      kInPlace);
  add(index_of<AvgPool2d>(), i8, i8, prepare_pool, k.elements.avg_pool2d_i8, "avg_pool2d_i8");
  add(index_of<Activate>(), f32, f32, prepare_clamp, k.elements.clamp_f32, "clamp_f32", kInPlace);
  add(index_of<Activate>(), i8, i8, prepare_table_i8, k.elements.table_i8, "table_i8", kInPlace);
  add(index_of<Activate>(), i16, i16, prepare_table_i16, k.elements.table_i16, "table_i16", kInPlace);
  if (rare.real_add != nullptr)
    add(index_of<Add>(), i8, i8, prepare_real_add_i8, rare.real_add, "real_add_i8", kInPlace);
  add(index_of<Add>(), i8, i8, prepare_packed_add_i8, k.elements.add_i8, "add_i8", kInPlace);
  add(index_of<Add>(), i16, i16, prepare_packed_add_i16, k.elements.add_i16, "add_i16", kInPlace);
  add(index_of<Multiply>(), i16, i16, prepare_packed_multiply_i16, k.elements.multiply_i16, "multiply_i16",
      kInPlace);
  add(index_of<Multiply>(), i16, i16, prepare_packed_multiply_channels_i16, k.elements.multiply_channels_i16,
      "multiply_channels_i16", kInPlace);
  add(index_of<Multiply>(), i8, i8, prepare_packed_multiply_i8, k.elements.multiply_i8, "multiply_i8",
      kInPlace);
  add(index_of<Multiply>(), i8, i8, prepare_packed_multiply_channels_i8, k.elements.multiply_channels_i8,
      "multiply_channels_i8", kInPlace);
  add(index_of<Add>(), f32, f32, prepare_add_f32, k.elements.add_f32, "add_f32", kInPlace);
  add(index_of<Multiply>(), f32, f32, prepare_multiply_f32, k.elements.multiply_f32, "multiply_f32",
      kInPlace);
  add(index_of<Multiply>(), f32, f32, prepare_multiply_channels_f32, k.elements.multiply_channels_f32,
      "multiply_channels_f32", kInPlace);
  if (level >= Level::avx2) {  // plain loops with exponentials are slower than the library
    add(index_of<Activate>(), f32, f32, prepare_activation<Activation::sigmoid>, k.elements.sigmoid_f32,
        "sigmoid_f32", kInPlace);
    add(index_of<Activate>(), f32, f32, prepare_activation<Activation::silu>, k.elements.silu_f32, "silu_f32",
        kInPlace);
  }
  if (level == Level::avx512)  // compilers take vectors for it there
    add(index_of<graph::Softmax>(), f32, f32, prepare_softmax, k.elements.softmax_f32, "softmax_f32",
        kInPlace);
  add(index_of<Quantize>(), f32, i8, prepare_quantize, k.elements.quantize_f32_i8, "quantize_f32_i8");
  add(index_of<Quantize>(), f32, i16, prepare_quantize, k.elements.quantize_f32_i16, "quantize_f32_i16");
  add(index_of<Quantize>(), u8, i8, prepare_shift, k.elements.shift_u8_i8, "shift_u8_i8", kInPlace);
  add(index_of<Dequantize>(), i8, f32, prepare_dequantize, k.elements.dequantize_i8_f32, "dequantize_i8_f32");
  add(index_of<Dequantize>(), i16, f32, prepare_dequantize, k.elements.dequantize_i16_f32,
      "dequantize_i16_f32");
}

/// Every op and dtype of a deployed graph.
void add_reference(std::vector<KernelEntry>& to) {
  using namespace graph;
  namespace ref = runtime::reference;
  const Adder add(Level::reference, nullptr, to);
  add(index_of<Conv2d>(), f32, f32, prepare_conv_f32, ref::conv2d_f32, "conv2d_f32");
  add(index_of<Conv2d>(), i8, i8, prepare_conv_i8, ref::conv2d_i8, "conv2d_i8");
  add(index_of<Linear>(), f32, f32, prepare_conv_f32, ref::conv2d_f32, "linear_f32");
  add(index_of<Linear>(), i8, i8, prepare_conv_i8, ref::conv2d_i8, "linear_i8");
  add(index_of<MaxPool2d>(), f32, f32, prepare_pool, ref::max_pool2d_f32, "max_pool2d_f32");
  add(index_of<MaxPool2d>(), i8, i8, prepare_pool, ref::max_pool2d_i8, "max_pool2d_i8");
  add(index_of<AvgPool2d>(), f32, f32, prepare_pool, ref::avg_pool2d_f32, "avg_pool2d_f32");
  add(index_of<AvgPool2d>(), i8, i8, prepare_pool, ref::avg_pool2d_i8, "avg_pool2d_i8");
  add(index_of<GlobalAvgPool>(), f32, f32, prepare_pool, ref::avg_pool2d_f32, "global_avg_pool_f32");
  add(index_of<GlobalAvgPool>(), i8, i8, prepare_global_pool_i8, ref::global_avg_pool_i8,
      "global_avg_pool_i8");
  add(index_of<BatchNorm>(), f32, f32, prepare_batch_norm, ref::scale_shift_f32, "batch_norm_f32", kInPlace);
  add(index_of<Activate>(), f32, f32, prepare_clamp, ref::clamp_f32, "clamp_f32", kInPlace);
  add(index_of<Activate>(), f32, f32, prepare_activation<Activation::sigmoid>, ref::sigmoid_f32,
      "sigmoid_f32", kInPlace);
  add(index_of<Activate>(), f32, f32, prepare_activation<Activation::silu>, ref::silu_f32, "silu_f32",
      kInPlace);
  add(index_of<Activate>(), i8, i8, prepare_table_i8, ref::table_i8, "table_i8", kInPlace);
  add(index_of<graph::Softmax>(), f32, f32, prepare_softmax, ref::softmax_f32, "softmax_f32", kInPlace);
  add(index_of<graph::Softmax>(), i8, i8, prepare_softmax, ref::softmax_i8, "softmax_i8");
  add(index_of<LogSoftmax>(), f32, f32, prepare_softmax, ref::log_softmax_f32, "log_softmax_f32", kInPlace);
  add(index_of<LogSoftmax>(), i8, i8, prepare_softmax, ref::log_softmax_i8, "log_softmax_i8");
  add(index_of<Add>(), f32, f32, prepare_add_f32, ref::add_f32, "add_f32", kInPlace);
  add(index_of<Add>(), i8, i8, prepare_add_i8, ref::add_i8, "add_i8", kInPlace);
  add(index_of<Multiply>(), f32, f32, prepare_multiply_f32, ref::multiply_f32, "multiply_f32", kInPlace);
  add(index_of<Multiply>(), f32, f32, prepare_multiply_channels_f32, ref::multiply_channels_f32,
      "multiply_channels_f32", kInPlace);
  add(index_of<Multiply>(), i8, i8, prepare_multiply_i8, ref::multiply_i8, "multiply_i8", kInPlace);
  add(index_of<Multiply>(), i8, i8, prepare_multiply_channels_i8, ref::multiply_channels_i8,
      "multiply_channels_i8", kInPlace);
  add(index_of<Concat>(), f32, f32, prepare_concat, ref::copy_slices, "concat");
  add(index_of<Concat>(), i8, i8, prepare_concat, ref::copy_slices, "concat");
  add(index_of<Pad>(), f32, f32, prepare_pad, ref::pad_image, "pad");
  add(index_of<Pad>(), i8, i8, prepare_pad, ref::pad_image, "pad");
  add(index_of<Quantize>(), f32, i8, prepare_quantize, ref::quantize_f32_i8, "quantize_f32_i8");
  add(index_of<Quantize>(), u8, i8, prepare_shift, ref::shift_u8_i8, "shift_u8_i8", kInPlace);
  add(index_of<Dequantize>(), i8, f32, prepare_dequantize, ref::dequantize_i8_f32, "dequantize_i8_f32");
  add(index_of<Dequantize>(), i8, u8, prepare_shift, ref::shift_i8_u8, "shift_i8_u8", kInPlace);
}

/// 16-bit activations, and layers that quantize as they run.
void add_reference_wide(std::vector<KernelEntry>& to) {
  using namespace graph;
  namespace ref = runtime::reference;
  const Adder add(Level::reference, nullptr, to);
  add(index_of<Conv2d>(), i16, i16, prepare_conv_i16, ref::conv2d_i16, "conv2d_i16");
  add(index_of<Linear>(), i16, i16, prepare_conv_i16, ref::conv2d_i16, "linear_i16");
  add(index_of<MaxPool2d>(), i16, i16, prepare_pool, ref::max_pool2d_i16, "max_pool2d_i16");
  add(index_of<AvgPool2d>(), i16, i16, prepare_pool, ref::avg_pool2d_i16, "avg_pool2d_i16");
  add(index_of<GlobalAvgPool>(), i16, i16, prepare_global_pool_i16, ref::global_avg_pool_i16,
      "global_avg_pool_i16");
  add(index_of<Activate>(), i16, i16, prepare_table_i16, ref::table_i16, "table_i16", kInPlace);
  add(index_of<graph::Softmax>(), i16, i16, prepare_softmax_i16, ref::softmax_i16, "softmax_i16");
  add(index_of<LogSoftmax>(), i16, i16, prepare_softmax_i16, ref::log_softmax_i16, "log_softmax_i16");
  add(index_of<Add>(), i16, i16, prepare_add_i16, ref::add_i16, "add_i16", kInPlace);
  add(index_of<Multiply>(), i16, i16, prepare_multiply_i16, ref::multiply_i16, "multiply_i16", kInPlace);
  add(index_of<Multiply>(), i16, i16, prepare_multiply_channels_i16, ref::multiply_channels_i16,
      "multiply_channels_i16", kInPlace);
  add(index_of<Concat>(), i16, i16, prepare_concat, ref::copy_slices, "concat");
  add(index_of<Pad>(), i16, i16, prepare_pad, ref::pad_image, "pad");
  add(index_of<Quantize>(), f32, i16, prepare_quantize, ref::quantize_f32_i16, "quantize_f32_i16");
  add(index_of<Dequantize>(), i16, f32, prepare_dequantize, ref::dequantize_i16_f32, "dequantize_i16_f32");
  add(index_of<Conv2d>(), f32, f32, prepare_conv_dynamic, ref::conv2d_dynamic, "conv2d_dynamic").dynamic =
      true;
  add(index_of<Linear>(), f32, f32, prepare_conv_dynamic, ref::conv2d_dynamic, "linear_dynamic").dynamic =
      true;
}

std::vector<KernelEntry> make_table() {
  std::vector<KernelEntry> table;
#ifdef LATHE_X86
  add_fast(Level::avx512,
           {avx512::kBlocking, avx512::kFloats, avx512::kHalves, avx512::kBytes, avx512::kWords,
            avx512::kSparse, avx512::kElements},
           {.palette_linear = avx512::kPaletteLinear, .real_add = avx512::kRealAdd}, table);
  add_fast(Level::avx2,
           {avx2::kBlocking, avx2::kFloats, avx2::kHalves, avx2::kBytes, avx2::kWords, avx2::kSparse,
            avx2::kElements},
           {.real_add = avx2::kRealAdd}, table);
#endif
  add_fast(Level::portable,
           {portable::kBlocking, portable::kFloats, portable::kHalves, portable::kBytes, portable::kWords,
            portable::kSparse, portable::kElements},
           {}, table);
  add_reference(table);
  add_reference_wide(table);
  return table;
}

}  // namespace

std::span<const KernelEntry> kernel_table() {
  static const std::vector<KernelEntry> table = make_table();  // never changes
  return table;
}

}  // namespace lathe::runtime
