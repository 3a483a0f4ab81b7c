#include "linear.h"

#include "common.h"

#include <lathe/base/parallel.h>

namespace lathe::kernels::onednn {
namespace {

/// A row-major matrix, or its transpose.
template <typename T>
struct Matrix {
  const T* data;
  std::int64_t row;  ///< elements from row to row as stored
  bool transposed = false;
};

/// c [m,n] = a [m,k] * b [k,n], by the calling thread.
void multiply(std::int64_t m, std::int64_t n, std::int64_t k, const Matrix<float>& a, const Matrix<float>& b,
              float* c, std::int64_t c_row) {
  const SingleThreaded scope;
  dnnl::sgemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', m, n, k, 1, a.data, a.row, b.data, b.row, 0,
              c, c_row);
}

/// A product of bf16 matrices. Its scratchpad is oneDNN's, one for each thread.
struct Product {
  dnnl::memory::desc a, b, c;
  dnnl::matmul primitive;
};

using ProductKey = std::array<std::int64_t, 8>;

Product make_product(const ProductKey& key) {
  const auto [m, n, k, a_row, a_transposed, b_row, b_transposed, c_row] = key;
  using Dims = dnnl::memory::dims;
  const auto strides = [](std::int64_t row, bool transposed) {
    return transposed ? Dims{1, row} : Dims{row, 1};
  };
  Product p;
  p.a = {Dims{m, k}, kType<Bf16>, strides(a_row, a_transposed != 0)};
  p.b = {Dims{k, n}, kType<Bf16>, strides(b_row, b_transposed != 0)};
  p.c = {Dims{m, n}, kType<float>, strides(c_row, false)};
  p.primitive = dnnl::matmul({{p.a, p.b, p.c}, engine()});
  return p;
}

/// (The cache is a documented exception to "no mutable globals".)
void multiply(std::int64_t m, std::int64_t n, std::int64_t k, const Matrix<Bf16>& a, const Matrix<Bf16>& b,
              float* c, std::int64_t c_row) {
  static Cache<ProductKey, Product> cache;
  const auto product = cache.get({m, n, k, a.row, a.transposed, b.row, b.transposed, c_row}, make_product);
  const SingleThreaded scope;
  dnnl::stream stream(engine());
  product->primitive.execute(stream, {{DNNL_ARG_SRC, view(product->a, a.data)},
                                      {DNNL_ARG_WEIGHTS, view(product->b, b.data)},
                                      {DNNL_ARG_DST, view(product->c, c)}});
  stream.wait();
}

constexpr std::int64_t kGrain = 16;  // columns or rows: whole cache lines, whole register tiles

}  // namespace

template <typename T>
void linear_forward(const LinearShape& s, const T* x, const T* weight, float* y) {
  using M = Matrix<T>;
  if (s.n > s.o)
    parallel_for(s.n, kGrain, [&](std::int64_t begin, std::int64_t end) {
      multiply(end - begin, s.o, s.i, M{x + begin * s.i, s.i}, M{weight, s.i, true}, y + begin * s.o, s.o);
    });
  else
    parallel_for(s.o, kGrain, [&](std::int64_t begin, std::int64_t end) {
      multiply(s.n, end - begin, s.i, M{x, s.i}, M{weight + begin * s.i, s.i, true}, y + begin, s.o);
    });
}

template <typename T>
void linear_backward_data(const LinearShape& s, const T* dy, const T* weight, float* dx) {
  using M = Matrix<T>;
  if (s.n > s.i)
    parallel_for(s.n, kGrain, [&](std::int64_t begin, std::int64_t end) {
      multiply(end - begin, s.i, s.o, M{dy + begin * s.o, s.o}, M{weight, s.i}, dx + begin * s.i, s.i);
    });
  else
    parallel_for(s.i, kGrain, [&](std::int64_t begin, std::int64_t end) {
      multiply(s.n, end - begin, s.o, M{dy, s.o}, M{weight + begin, s.i}, dx + begin, s.i);
    });
}

template <typename T>
void linear_backward_weights(const LinearShape& s, const T* x, const T* dy, float* dweight) {
  using M = Matrix<T>;
  parallel_for(s.o, kGrain, [&](std::int64_t begin, std::int64_t end) {
    multiply(end - begin, s.i, s.n, M{dy + begin, s.o, true}, M{x, s.i}, dweight + begin * s.i, s.i);
  });
}

template void linear_forward(const LinearShape&, const float*, const float*, float*);
template void linear_forward(const LinearShape&, const Bf16*, const Bf16*, float*);
template void linear_backward_data(const LinearShape&, const float*, const float*, float*);
template void linear_backward_data(const LinearShape&, const Bf16*, const Bf16*, float*);
template void linear_backward_weights(const LinearShape&, const float*, const float*, float*);
template void linear_backward_weights(const LinearShape&, const Bf16*, const Bf16*, float*);

}  // namespace lathe::kernels::onednn
