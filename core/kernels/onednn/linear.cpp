#include "linear.h"

#include "common.h"

#include <lathe/base/parallel.h>

namespace lathe::kernels::onednn {
namespace {

/// A row-major matrix, or its transpose.
struct Matrix {
  const float* data;
  std::int64_t row;  ///< floats from row to row as stored
  bool transposed = false;
};

/// c [m,n] = a [m,k] * b [k,n], by the calling thread.
void multiply(std::int64_t m, std::int64_t n, std::int64_t k, const Matrix& a, const Matrix& b, float* c,
              std::int64_t c_row) {
  const SingleThreaded scope;
  dnnl::sgemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', m, n, k, 1, a.data, a.row, b.data, b.row, 0,
              c, c_row);
}

constexpr std::int64_t kGrain = 16;  // columns or rows: whole cache lines, whole register tiles

}  // namespace

void linear_forward(const LinearShape& s, const float* x, const float* weight, float* y) {
  if (s.n > s.o)
    parallel_for(s.n, kGrain, [&](std::int64_t begin, std::int64_t end) {
      multiply(end - begin, s.o, s.i, {x + begin * s.i, s.i}, {weight, s.i, true}, y + begin * s.o, s.o);
    });
  else
    parallel_for(s.o, kGrain, [&](std::int64_t begin, std::int64_t end) {
      multiply(s.n, end - begin, s.i, {x, s.i}, {weight + begin * s.i, s.i, true}, y + begin, s.o);
    });
}

void linear_backward_data(const LinearShape& s, const float* dy, const float* weight, float* dx) {
  if (s.n > s.i)
    parallel_for(s.n, kGrain, [&](std::int64_t begin, std::int64_t end) {
      multiply(end - begin, s.i, s.o, {dy + begin * s.o, s.o}, {weight, s.i}, dx + begin * s.i, s.i);
    });
  else
    parallel_for(s.i, kGrain, [&](std::int64_t begin, std::int64_t end) {
      multiply(s.n, end - begin, s.o, {dy, s.o}, {weight + begin, s.i}, dx + begin, s.i);
    });
}

void linear_backward_weights(const LinearShape& s, const float* x, const float* dy, float* dweight) {
  parallel_for(s.o, kGrain, [&](std::int64_t begin, std::int64_t end) {
    multiply(end - begin, s.i, s.n, {dy + begin, s.o, true}, {x, s.i}, dweight + begin * s.i, s.i);
  });
}

}  // namespace lathe::kernels::onednn
