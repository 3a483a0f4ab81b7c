#pragma once

#include <lathe/base/dtype.h>
#include <lathe/base/error.h>
#include <lathe/base/shape.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>

namespace lathe {

struct Node;

/// A handle to an array of numbers: copying shares the storage, clone() copies it.
///
///   Tensor x = Tensor::from({1, 2, 3, 4}, {2, 2});
///   Tensor same = x;             // same storage
///   Tensor other = x.clone();    // its own
///   x.mutable_span<float>()[0] = 9;   // same sees it, other does not
///
/// Elements are contiguous, outermost axis first, aligned to 64 bytes. Results of operations (ops.h) remember how they were
/// made while gradients are enabled, so that backward() can fill grad() of every tensor with requires_grad().
class Tensor {
 public:
  /// An empty handle: no shape, no storage.
  Tensor() = default;

  /// Uninitialised elements.
  static Tensor empty(const Shape& shape, Dtype dtype = Dtype::f32);
  static Tensor zeros(const Shape& shape, Dtype dtype = Dtype::f32);
  static Tensor full(const Shape& shape, float value);
  /// Copies. Throws Error when the number of elements is not shape.size().
  static Tensor from(std::initializer_list<float> elements, const Shape& shape);
  template <typename T>
  static Tensor from(std::span<const T> elements, const Shape& shape) {
    check(static_cast<std::int64_t>(elements.size()) == shape.size(), "tensor: {} elements given, shape {} holds {}",
          elements.size(), to_string(shape), shape.size());
    Tensor result = empty(shape, DtypeOf<T>::value);
    std::copy(elements.begin(), elements.end(), result.mutable_span<T>().begin());
    return result;
  }

  explicit operator bool() const { return impl_ != nullptr; }

  const Shape& shape() const&;
  Shape shape() const&& { return static_cast<const Tensor&>(*this).shape(); }
  Dtype dtype() const;
  std::int64_t size() const;
  std::int64_t bytes() const { return size() * static_cast<std::int64_t>(size_of(dtype())); }

  /// The elements; valid while a handle to the storage lives. Throws Error when T does not match dtype().
  template <typename T>
  std::span<const T> span() const& {
    return {static_cast<const T*>(data(DtypeOf<T>::value)), static_cast<std::size_t>(size())};
  }
  template <typename T>
  std::span<const T> span() const&& = delete;
  /// For filling and for updates in place (optimisers, buffers); never for a tensor that a recorded operation still needs.
  template <typename T>
  std::span<T> mutable_span() & {
    return {static_cast<T*>(data(DtypeOf<T>::value)), static_cast<std::size_t>(size())};
  }
  std::span<const std::byte> raw() const&;
  std::span<std::byte> mutable_raw() &;

  /// The only element of an f32 tensor. Throws Error when there are more.
  float item() const;

  Tensor clone() const;
  /// Shares the storage under another shape of the same size, without gradient (the op with gradient is reshape()).
  Tensor view(const Shape& shape) const;
  /// Shares the storage; unknown to autograd.
  Tensor detach() const { return view(shape()); }
  /// True when both are handles of one tensor (not merely of equal elements).
  bool is(const Tensor& other) const { return impl_ == other.impl_; }

  bool requires_grad() const;
  /// For leaves (parameters). Throws Error on results of operations and on integer tensors.
  Tensor& set_requires_grad(bool on);
  /// The accumulated gradient, empty before the first backward().
  Tensor grad() const;
  void set_grad(Tensor grad);
  void clear_grad() { set_grad({}); }

  /// Accumulates d(this)/d(leaf) into grad() of every leaf this scalar was computed from, and releases what was saved for
  /// it: a second backward() through the same operations throws Error.
  void backward() const;
  /// The same for a tensor of any shape with d(loss)/d(this) given. Throws Error on a shape mismatch.
  void backward(const Tensor& grad) const;

  /// What autograd knows of a tensor; see autograd.h.
  struct Gradient;
  const std::shared_ptr<Gradient>& gradient() const&;

 private:
  struct Impl;
  explicit Tensor(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  void* data(Dtype expected) const;
  friend struct TensorAccess;

  std::shared_ptr<Impl> impl_;
};

/// "f32[2,2] {1, 2, 3, 4}", long ones shortened.
std::string to_string(const Tensor& tensor);

/// How much memory the tensors of this process hold. Freed blocks are kept for reuse: a training step in its steady state
/// asks the system for nothing.
struct MemoryStats {
  std::int64_t used_bytes = 0;        ///< in living tensors
  std::int64_t cached_bytes = 0;      ///< freed and kept
  std::int64_t system_allocations = 0;  ///< how often the system was asked
};
MemoryStats memory_stats();

/// Gives the kept blocks back to the system.
void release_cached_memory();

}  // namespace lathe
