#include "conv.h"

#include <algorithm>
#include <vector>

namespace lathe::kernels::reference {
namespace {

/// Calls f(x index, weight index, y index) for every product of the convolution: y[y index] += x[x index] *
/// w[w index].
template <typename F>
void for_each_product(const ConvShape& s, F&& f) {
  const std::int64_t group_c = s.c / s.groups;
  const std::int64_t group_o = s.o / s.groups;
  for (std::int64_t n = 0; n < s.n; ++n)
    for (std::int64_t i = 0; i < s.out_h; ++i)
      for (std::int64_t j = 0; j < s.out_w; ++j)
        for (std::int64_t o = 0; o < s.o; ++o)
          for (std::int64_t a = 0; a < s.kh; ++a)
            for (std::int64_t b = 0; b < s.kw; ++b) {
              const std::int64_t row = i * s.stride_h - s.top + a;
              const std::int64_t column = j * s.stride_w - s.left + b;
              if (row < 0 || row >= s.h || column < 0 || column >= s.w) continue;
              for (std::int64_t c = 0; c < group_c; ++c)
                f(((n * s.h + row) * s.w + column) * s.c + o / group_o * group_c + c,
                  ((o * s.kh + a) * s.kw + b) * group_c + c, ((n * s.out_h + i) * s.out_w + j) * s.o + o);
            }
}

/// Sums are kept in double so that rounding is the fast kernels' alone.
void store(const std::vector<double>& sums, float* out) {
  std::transform(sums.begin(), sums.end(), out, [](double sum) { return static_cast<float>(sum); });
}

std::vector<double> zeros(std::int64_t size) { return std::vector<double>(static_cast<std::size_t>(size)); }

double& at(std::vector<double>& sums, std::int64_t index) { return sums[static_cast<std::size_t>(index)]; }

double product(float a, float b) { return static_cast<double>(a) * static_cast<double>(b); }

}  // namespace

void conv_forward(const ConvShape& shape, const float* x, const float* weight, const float* bias, float* y) {
  std::vector<double> sums = zeros(shape.n * shape.y_image());
  if (bias != nullptr)
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] = bias[i % static_cast<std::size_t>(shape.o)];
  for_each_product(shape, [&](auto xi, auto wi, auto yi) { at(sums, yi) += product(x[xi], weight[wi]); });
  store(sums, y);
}

void conv_backward_data(const ConvShape& shape, const float* dy, const float* weight, float* dx) {
  std::vector<double> sums = zeros(shape.n * shape.x_image());
  for_each_product(shape, [&](auto xi, auto wi, auto yi) { at(sums, xi) += product(dy[yi], weight[wi]); });
  store(sums, dx);
}

void conv_backward_weights(const ConvShape& shape, const float* x, const float* dy, float* dweight,
                           float* dbias) {
  if (dweight != nullptr) {
    std::vector<double> sums = zeros(shape.weights());
    for_each_product(shape, [&](auto xi, auto wi, auto yi) { at(sums, wi) += product(x[xi], dy[yi]); });
    store(sums, dweight);
  }
  if (dbias != nullptr) {
    std::vector<double> sums = zeros(shape.o);
    for (std::int64_t i = 0; i < shape.n * shape.y_image(); ++i) at(sums, i % shape.o) += dy[i];
    store(sums, dbias);
  }
}

}  // namespace lathe::kernels::reference
