#pragma once

#include "conv_tiles.h"

/// Depthwise convolution of floats on packed weights, for a vector type V (conv_tiles.h) with load_x.
/// Sizes of the window are compile-time numbers where they are common (0: read from the parameters), so that
/// weights stay in registers.
namespace lathe::runtime {
namespace {

/// Calls body(first lane of the output, its place in the input, mask or nothing) for the vectors of `columns`
/// output columns that begin `phase` lanes after a multiple of the period.
template <class V, typename Body>
__attribute__((always_inline)) inline void for_each_vector(const PackedDepthwise& p, int columns, int phase,
                                                           Body&& body) {
  const int segments = p.flat ? 1 : columns, segment = (p.flat ? columns : 1) * p.channels;
  for (int s = 0; s < segments; ++s) {
    const std::int64_t out = std::int64_t{s} * segment, in = out * p.stride_w;
    int lane = phase;
    for (; lane + kLanes <= segment; lane += p.period) body(out + lane, in + lane);
    if (lane < segment) body(out + lane, in + lane, V::mask(segment - lane));
  }
}

/// Columns [begin, end) of a window.
struct Columns {
  int begin = 0, end = 0;
};

/// One phase of the weights: the vectors of all taps of a window. A line is a row of the window.
template <class V, int kColumns, int kLines>
class DepthwiseWeights {
 public:
  /// Output rows to be summed together: two share the lines that both read.
  static constexpr int kRowsTogether = kColumns * kLines <= 9 ? 2 : 1;

  DepthwiseWeights(const PackedDepthwise& p, int phase) : channels_(p.channels) {
    const float* weight = p.weight + phase;
    unroll<kColumns * kLines>(
        [&](auto t) { weight_[t.value] = V::load(weight + std::int64_t{t.value} * p.period); });
  }

  /// Adds the taps to the sums of kRows output rows, one input line apart. line(i): lanes of input line i,
  /// from the window's first. With kSome only the given columns of the window.
  template <int kRows, bool kSome, typename Lines>
  __attribute__((always_inline)) void add(typename V::Sum (&sum)[kRows], Lines&& line, std::int64_t at,
                                          Columns columns) const {
    unroll<kLines + kRows - 1>([&](auto i) {
      const auto* x = line(i.value) + at;
      unroll<kColumns>([&](auto c) {
        if (kSome && (c.value < columns.begin || c.value >= columns.end)) return;
        const auto lanes = V::load_x(x + c.value * channels_);
        unroll<kRows>([&](auto r) {
          constexpr int which = i.value - r.value;
          if constexpr (which >= 0 && which < kLines)
            V::add(sum[r.value], weight_[c.value * kLines + which], lanes);
        });
      });
    });
  }

 private:
  std::int64_t channels_;
  typename V::Weight weight_[kColumns * kLines];
};

/// The same for any size of window, one output row at a time.
template <class V>
class DepthwiseWeights<V, 0, 0> {
 public:
  static constexpr int kRowsTogether = 1;

  DepthwiseWeights(const PackedDepthwise& p, int phase) : p_(p), weight_(p.weight + phase) {}

  template <int kRows, bool kSome, typename Lines>
  void add(typename V::Sum (&sum)[kRows], Lines&& line, std::int64_t at, Columns columns) const {
    static_assert(kRows == 1);
    for (int column = columns.begin; column < columns.end; ++column) {
      const float* weight = weight_ + std::int64_t{column} * p_.kernel_h * p_.period;
      for (int i = 0; i < p_.kernel_h; ++i, weight += p_.period)
        V::add(sum[0], V::load(weight), V::load_x(line(i) + at + std::int64_t{column} * p_.channels));
    }
  }

 private:
  const PackedDepthwise& p_;
  const float* weight_;
};

/// Rows of an f32 image from `top`, zeros outside.
struct ImageLines {
  const float* image;
  const float* zeros;
  std::int64_t top, height, step;
  const float* operator()(std::int64_t i) const {
    return top + i >= 0 && top + i < height ? image + (top + i) * step : zeros;
  }
};

/// The first lines of a window, looked up once for a row.
template <int kCount>
struct FixedLines {
  explicit FixedLines(const ImageLines& lines) {
    unroll<kCount>([&](auto i) { line[i.value] = lines(i.value); });
  }
  const float* operator()(std::int64_t i) const { return line[i]; }
  const float* line[kCount];
};

/// kRows output rows from `h`, at one phase: the inner columns, then those whose window leaves the image.
template <class V, int kRows, class Weights, class Lines>
__attribute__((always_inline)) inline void depthwise_rows(const PackedDepthwise& p, const Weights& weights,
                                                          int phase, const Lines& lines, float* out) {
  const typename V::Finish finish(p.clamp, {}, nullptr);
  const typename V::Sum bias = V::start(p.bias + phase);
  const std::int64_t channels = p.channels;
  typename V::Sum sum[kRows];
  const auto start = [&] { unroll<kRows>([&](auto r) { sum[r.value] = bias; }); };
  const auto store = [&](std::int64_t lane, auto... mask) {
    unroll<kRows>([&](auto r) { finish.store(sum[r.value], out + r.value * p.out_row + lane, mask...); });
  };
  const std::int64_t out_first = p.inner_begin * channels;
  const std::int64_t in_first = (std::int64_t{p.inner_begin} * p.stride_w - p.pad_left) * channels;
  for_each_vector<V>(p, p.inner_end - p.inner_begin, phase,
                     [&](std::int64_t lane, std::int64_t at, auto... mask) {
                       start();
                       weights.template add<kRows, false>(sum, lines, in_first + at, {0, p.kernel_w});
                       store(out_first + lane, mask...);
                     });
  if (phase >= p.channels) return;
  const int width = p.in_row / p.channels;
  const typename V::Mask mask = V::mask(p.channels - phase < kLanes ? p.channels - phase : kLanes);
  for (int column = 0; column < p.out_w; ++column) {
    if (column == p.inner_begin) column = p.inner_end;
    if (column >= p.out_w) break;
    const int left = column * p.stride_w - p.pad_left;
    const Columns inside{left < 0 ? -left : 0, left + p.kernel_w > width ? width - left : p.kernel_w};
    start();
    weights.template add<kRows, true>(sum, lines, left * channels + phase, inside);
    store(column * channels + phase, mask);
  }
}

/// Output rows [begin, end) of an image; phases outermost, so that the weights of a phase are loaded once.
template <class V, int kColumns, int kLines>
void depthwise_f32_image(const PackedDepthwise& p, const ImageLines& image, float* out, std::int64_t begin,
                         std::int64_t end) {
  using Weights = DepthwiseWeights<V, kColumns, kLines>;
  constexpr int kTogether = Weights::kRowsTogether;
  for (int phase = 0; phase < p.period; phase += kLanes) {
    const Weights weights(p, phase);
    std::int64_t h = begin;
    const auto lines_at = [&](std::int64_t row) {
      ImageLines lines = image;
      lines.top = row * p.stride_h - p.pad_top;
      return lines;
    };
    if constexpr (kTogether > 1) {
      if (p.stride_h == 1) {
        for (; h + kTogether <= end; h += kTogether) {
          const FixedLines<kLines + kTogether - 1> lines(lines_at(h));
          depthwise_rows<V, kTogether>(p, weights, phase, lines, out + h * p.out_row);
        }
      }
    }
    for (; h < end; ++h) {
      if constexpr (kLines > 0) {
        depthwise_rows<V, 1>(p, weights, phase, FixedLines<kLines>(lines_at(h)), out + h * p.out_row);
      } else {
        depthwise_rows<V, 1>(p, weights, phase, lines_at(h), out + h * p.out_row);
      }
    }
  }
}

/// Scratch: a line of zeros, where a window leaves the image.
template <class V>
void depthwise_f32(const Call& call, Range rows) noexcept {
  const auto& p = *static_cast<const PackedDepthwise*>(call.params);
  auto run = depthwise_f32_image<V, 0, 0>;
  if (p.kernel_h == 3 && p.kernel_w == 3) run = depthwise_f32_image<V, 3, 3>;
  if (p.kernel_h == 5 && p.kernel_w == 5) run = depthwise_f32_image<V, 5, 5>;
  auto* zeros = static_cast<float*>(call.scratch);
  const std::int64_t first = rows.begin % p.out_h, last = first + rows.end - rows.begin - 1;
  if (first * p.stride_h < p.pad_top || last * p.stride_h - p.pad_top + p.kernel_h > p.in_h)
    V::fill(zeros, p.in_row, 0);
  std::int64_t row = rows.begin;
  while (row < rows.end) {
    const std::int64_t n = row / p.out_h, begin = row % p.out_h;
    const std::int64_t end = rows.end - n * p.out_h < p.out_h ? rows.end - n * p.out_h : p.out_h;
    const float* image = static_cast<const float*>(call.input) + n * p.in_h * p.in_row;
    const ImageLines lines{.image = image, .zeros = zeros, .top = 0, .height = p.in_h, .step = p.in_row};
    run(p, lines, static_cast<float*>(call.output) + n * p.out_h * p.out_row, begin, end);
    row = n * p.out_h + end;
  }
}

}  // namespace
}  // namespace lathe::runtime
