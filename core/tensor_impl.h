#pragma once

#include "allocator.h"

#include <lathe/core/autograd.h>
#include <lathe/core/tensor.h>

#include <cstddef>
#include <memory>

namespace lathe {

/// A block of the allocator, shared by the tensors that are views of it.
struct Storage {
  explicit Storage(std::size_t size) : data(allocate_block(size)), bytes(size) {}
  ~Storage() { free_block(data, bytes); }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data;
  std::size_t bytes;
};

struct Tensor::Impl {
  Shape shape;
  Dtype dtype = Dtype::f32;
  std::shared_ptr<Storage> storage;
  std::shared_ptr<Gradient> gradient;  ///< null while autograd knows nothing of the tensor
};

/// What the engine may see of a tensor and others may not.
struct TensorAccess {
  /// Identifies a tensor while it lives.
  static const void* id(const Tensor& tensor) { return tensor.impl_.get(); }
  /// Is this handle the only one to the elements? Then they may be changed without anyone noticing.
  static bool unique(const Tensor& tensor) {
    return tensor.impl_.use_count() == 1 && tensor.impl_->storage.use_count() == 1;
  }
  static void set_gradient(Tensor& tensor, std::shared_ptr<Tensor::Gradient> gradient) {
    tensor.impl_->gradient = std::move(gradient);
  }
};

}  // namespace lathe
