#pragma once

#include "conv.h"
#include "depthwise.h"
#include "gated_norm.h"
#include "linear.h"
#include "pool.h"
#include "pooled_conv.h"

#include <cstdint>

/// Inner loops over floats, one thread each. Every .cpp file of kernels in this folder is compiled once for
/// each level of instructions with LATHE_LEVEL set to the level's namespace; simd() gives the best table for
/// this processor.
///
/// To add a family of loops: a struct of function pointers here (or in a header of its own) and a member of
/// Kernels, a .cpp file that defines the struct's instance in namespace LATHE_LEVEL (nothing from the
/// standard library there: the linker could pick an inline function compiled for one level for everyone), its
/// name in meson.build, the member in dispatch.cpp.
///
/// Pointers of one call do not overlap unless it is said. NaN and infinities go through as in the formulas.
namespace lathe::kernels::simd {

using Index = std::int64_t;

/// Arrays are indexed by the number of graph::Activation.
inline constexpr int kActivations = 5;

struct Elementwise {
  /// y = f(x); null for none.
  void (*activate[kActivations])(const float* x, float* y, Index n);
  /// dx = dy * f'. `saved` is the output f(x), for silu the input x. dx may be dy.
  void (*activate_backward[kActivations])(const float* saved, const float* dy, float* dx, Index n);
  void (*exponential)(const float* x, float* y, Index n);
  /// y = f(a + b); for none, relu, relu6.
  void (*add[3])(const float* a, const float* b, float* y, Index n);
  /// y += x
  void (*accumulate)(const float* x, float* y, Index n);
  /// y = a * b
  void (*multiply)(const float* a, const float* b, float* y, Index n);
  /// y = factor * x; y may be x.
  void (*scale)(float factor, const float* x, float* y, Index n);
  /// y = factor * (a - b)
  void (*scaled_difference)(float factor, const float* a, const float* b, float* y, Index n);
  /// y = x rounded to the nearest, halves to even; NaN stays NaN.
  void (*to_bf16)(const float* x, Bf16* y, Index n);
  double (*sum)(const float* x, Index n);
  /// The sum of (a - b)^2.
  double (*squared_distance)(const float* a, const float* b, Index n);
  /// y[r,c] = a[r,c] * b[c], a [rows,channels].
  void (*multiply_rows)(const float* a, const float* b, float* y, Index rows, Index channels);
  /// y[c] = sum over r of a[r,c] * b[r,c].
  void (*dot_rows)(const float* a, const float* b, float* y, Index rows, Index channels);
};

/// x is [rows,channels] with n = rows * channels elements. The arrays per channel are repeated up to `period`
/// elements, a multiple of channels, so that vectors run across the rows of narrow tensors.
struct Norm {
  /// sum[j] += x - pivot[j], square[j] += (x - pivot[j])^2 over all x that meet j.
  void (*moments)(const float* x, Index n, Index period, const float* pivot, float* sum, float* square);
  /// y = f((x - mean) * scale + beta); for none, relu, relu6, silu. x and y may be the same.
  void (*apply[4])(const float* x, float* y, Index n, Index period, const float* mean, const float* scale,
                   const float* beta);
  /// With g = dy * f': sum[j] += g, product[j] += g * (x - mean[j]).
  void (*backward_sums[4])(const float* x, const float* dy, Index n, Index period, const float* mean,
                           const float* scale, const float* beta, float* sum, float* product);
  /// dx = scale * g + slope * (x - mean) + offset; dx may be dy.
  void (*backward_apply[4])(const float* x, const float* dy, float* dx, Index n, Index period,
                            const float* mean, const float* scale, const float* beta, const float* slope,
                            const float* offset);
};

/// x is [rows,classes].
struct Rows {
  void (*softmax)(const float* x, float* y, Index rows, Index classes);
  /// dx = y * (dy - sum(dy * y))
  void (*softmax_backward)(const float* y, const float* dy, float* dx, Index rows, Index classes);
  void (*log_softmax)(const float* x, float* y, Index rows, Index classes);
  /// dx = dy - exp(y) * sum(dy)
  void (*log_softmax_backward)(const float* y, const float* dy, float* dx, Index rows, Index classes);
  /// loss[r] = cross-entropy of row r with the target (1-s)*onehot(label) + s/classes; unless dx is null,
  /// dx = factor * (softmax(x) - target).
  void (*cross_entropy)(const float* x, const std::int32_t* labels, float smoothing, float factor,
                        float* loss, float* dx, Index rows, Index classes);
  /// loss[r] = KL(softmax(t*inverse) || softmax(x*inverse)); unless dx is null,
  /// dx = factor * (softmax(x*inverse) - softmax(t*inverse)).
  void (*kl_divergence)(const float* x, const float* t, float inverse, float factor, float* loss, float* dx,
                        Index rows, Index classes);
};

struct Dropout {
  /// 4 * blocks words of Rng{seed, stream}, from word 4 * first on.
  void (*random_words)(std::uint64_t seed, std::uint64_t stream, std::uint64_t first, Index blocks,
                       std::uint32_t* words);
  /// keep = (word >> 8) >= threshold, y = keep ? factor * x : 0
  void (*drop)(const float* x, const std::uint32_t* words, std::uint32_t threshold, float factor, float* y,
               std::uint8_t* keep, Index n);
  /// dx = keep ? factor * dy : 0; dx may be dy.
  void (*drop_backward)(const float* dy, const std::uint8_t* keep, float factor, float* dx, Index n);
};

/// Of weights that are being compressed.
struct Compression {
  /// y = mask is not 0 ? x : 0
  void (*mask)(const float* x, const float* mask, float* y, Index n);
  /// With r = how many of the `count` ascending thresholds are below x: y = values[r], index = indices[r],
  /// both count + 1 long. NaN stays NaN and has indices[0].
  void (*step)(const float* x, const float* thresholds, const float* values, const std::int32_t* indices,
               Index count, float* y, std::int32_t* index, Index n);
};

/// A number of steps of an integer: value = scale * steps; its code is steps + zero point.
struct Steps {
  float scale = 1;
  float inverse = 1;     ///< 1 / scale
  float low = -128;      ///< the smallest code less the zero point
  float high = 127;      ///< the largest
  float zero_point = 0;  ///< for averages only
};

/// Real numbers that stand for integers.
struct Quantization {
  /// y = scale * clamp(round(x * inverse), low, high), halves away from zero, for averages away from -zero_point.
  /// NaN stays. inside[i] = 1 where nothing was cut off, else 0. Unless extremes is null, extremes[0] becomes
  /// the minimum of itself and all x, extremes[1] the maximum.
  void (*fake_quantize)(const float* x, const Steps& steps, float* y, std::uint8_t* inside, float* extremes,
                        Index n);
  void (*fake_quantize_average)(const float* x, const Steps& steps, float* y, std::uint8_t* inside,
                                float* extremes, Index n);
  /// As the first, but what is nearer than slack[i] below a half counts as a half.
  void (*fake_quantize_rescaled)(const float* x, const Steps& steps, const float* slack, float* y, Index n);
  /// dx = inside ? dy : 0. dx may be dy.
  void (*backward)(const float* dy, const std::uint8_t* inside, float* dx, Index n);
};

struct Kernels {
  const char* level;  ///< "portable", "avx2", "avx512"
  const Elementwise& elementwise;
  const Norm& norm;
  const GatedNorm& gated_norm;
  const Rows& rows;
  const Dropout& dropout;
  const Compression& compression;
  const Quantization& quantization;
  const Conv& conv;
  const Depthwise& depthwise;
  const Linear& linear;
  const Pool& pool;
  const PooledConv& pooled_conv;
};

/// The table in use: the best that this processor can run unless use_level() chose another (documented
/// exception to "no mutable globals").
const Kernels& simd();

/// For tests: the tables that this processor can run, null where it cannot, the best one last.
inline constexpr int kLevels = 3;
const Kernels* kernels_of_level(int level);
/// For tests and benchmarks, while no operation runs. The processor must be able to run the level.
void use_level(int level);

#define LATHE_DECLARE_LEVEL(level)       \
  namespace level {                      \
  extern const Elementwise kElementwise; \
  extern const Norm kNorm;               \
  extern const GatedNorm kGatedNorm;     \
  extern const Rows kRows;               \
  extern const Dropout kDropout;         \
  extern const Compression kCompression; \
  extern const Quantization kQuantization; \
  extern const Conv kConv;               \
  extern const Depthwise kDepthwise;     \
  extern const Linear kLinear;           \
  extern const Pool kPool;               \
  extern const PooledConv kPooledConv;   \
  }
LATHE_DECLARE_LEVEL(portable)
LATHE_DECLARE_LEVEL(avx2)
LATHE_DECLARE_LEVEL(avx512)
#undef LATHE_DECLARE_LEVEL

}  // namespace lathe::kernels::simd
