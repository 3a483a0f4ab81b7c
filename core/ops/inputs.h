#pragma once

#include "../tensor_impl.h"
#include "common.h"

#include <lathe/base/parallel.h>
#include <lathe/core/tensor.h>
#include <lathe/graph/op.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>

namespace lathe {

/// The output's shape. Throws Error when an input is an empty handle or shapes do not fit.
template <typename Op>
Shape infer(const Op& op, std::initializer_list<const Tensor*> inputs) {
  constexpr std::size_t kMost = 6;
  std::array<Shape, kMost> shapes;
  std::size_t count = 0;
  for (const Tensor* input : inputs) {
    check(static_cast<bool>(*input), "{}: input {} must not be empty", Op::kName, count);
    shapes[count++] = input->shape();
  }
  return graph::infer_shape(op, std::span(shapes).first(count));
}

/// The same for operations on f32 alone, which this checks.
template <typename Op>
Shape infer_f32(const Op& op, std::initializer_list<const Tensor*> inputs) {
  check_f32(Op::kName, inputs);
  return infer(op, inputs);
}

/// Where a backward function writes the gradient of an input of the output's shape: into `grad` itself when
/// nobody else can see its elements (the engine drops it next), which spares the memory a second array.
inline Tensor reuse(const Tensor& grad) {
  return TensorAccess::unique(grad) ? grad : Tensor::empty(grad.shape());
}

/// Calls f(begin, size) on parts of n elements, on all threads.
template <typename F>
void for_each_part(std::int64_t n, F&& f) {
  constexpr std::int64_t kGrain = 8192;  // less is done before another thread has heard of it
  parallel_for(n, kGrain, [&](std::int64_t begin, std::int64_t end) { f(begin, end - begin); });
}

/// Calls f(first row, rows) on parts of a [rows, width] tensor.
template <typename F>
void for_each_rows(std::int64_t rows, std::int64_t width, F&& f) {
  constexpr std::int64_t kGrain = 8192;
  parallel_for(rows, std::max<std::int64_t>(1, kGrain / width),
               [&](std::int64_t begin, std::int64_t end) { f(begin, end - begin); });
}

}  // namespace lathe
