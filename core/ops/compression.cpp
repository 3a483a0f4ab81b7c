#include "../kernels/compression.h"

#include "../kernels/simd/simd.h"
#include "inputs.h"

#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>

#include <vector>

namespace lathe {
namespace {

kernels::LookupShape lookup_shape(const graph::ClusterLookup& op, const Shape& x, const Shape& centroids) {
  const std::int64_t books = centroids.rank() == 2 ? centroids[0] : 1;
  return {.books = books, .size = x.size() / books, .k = centroids[-1], .zero_first = op.zero_first};
}

Grads apply_mask_backward(const Node&, const Tensor& grad) { return {grad, Tensor()}; }

Grads cluster_lookup_backward(const Node& node, const Tensor& grad) {
  Grads grads{node.needs(0) ? grad : Tensor(), Tensor()};
  if (node.needs(1)) {
    const auto& op = std::get<graph::ClusterLookup>(node.op);
    grads[1] = Tensor::empty(node.input_shapes[1]);
    kernels::lookup_backward(lookup_shape(op, node.input_shapes[0], node.input_shapes[1]), op.average,
                             read(grad), node.saved[0].span<std::int32_t>().data(), write(grads[1]));
  }
  return grads;
}

}  // namespace

Tensor apply_mask(const Tensor& x, const Tensor& mask) {
  const graph::ApplyMask op;
  check(!needs_grad({&mask}), "{}: the mask cannot have a gradient", op.kName);
  Tensor y = Tensor::empty(infer_f32(op, {&x, &mask}));
  for_each_part(x.size(),
                [&, from = read(x), kept = read(mask), to = write(y)](std::int64_t begin, std::int64_t size) {
                  kernels::simd::simd().compression.mask(from + begin, kept + begin, to + begin, size);
                });
  return record(op, std::array{x, mask}, y, {}, apply_mask_backward);
}

Tensor cluster_lookup(const Tensor& x, const Tensor& centroids, const graph::ClusterLookup& op) {
  Tensor y = Tensor::empty(infer_f32(op, {&x, &centroids}));
  Tensor index = Tensor::empty(x.shape(), Dtype::i32);
  kernels::lookup_forward(lookup_shape(op, x.shape(), centroids.shape()), read(x), read(centroids), write(y),
                          index.mutable_span<std::int32_t>().data());
  std::vector<Tensor> saved;
  if (needs_grad({&centroids})) saved = {index};
  return record(op, std::array{x, centroids}, y, std::move(saved), cluster_lookup_backward);
}

}  // namespace lathe
