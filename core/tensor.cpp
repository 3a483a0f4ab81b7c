#include "tensor_impl.h"

#include <lathe/base/error.h>

#include <algorithm>
#include <cstring>
#include <iterator>

namespace lathe {

Tensor Tensor::empty(const Shape& shape, Dtype dtype) {
  auto impl = std::make_shared<Impl>();
  impl->shape = shape;
  impl->dtype = dtype;
  impl->storage = std::make_shared<Storage>(static_cast<std::size_t>(shape.size()) * size_of(dtype));
  return Tensor(std::move(impl));
}

Tensor Tensor::zeros(const Shape& shape, Dtype dtype) {
  Tensor result = empty(shape, dtype);
  const std::span<std::byte> bytes = result.mutable_raw();
  std::memset(bytes.data(), 0, bytes.size());
  return result;
}

Tensor Tensor::full(const Shape& shape, float value) {
  Tensor result = empty(shape);
  std::ranges::fill(result.mutable_span<float>(), value);
  return result;
}

Tensor Tensor::from(std::initializer_list<float> elements, const Shape& shape) {
  return from(std::span<const float>(elements.begin(), elements.size()), shape);
}

const Shape& Tensor::shape() const& {
  check(impl_ != nullptr, "tensor: an empty handle has no shape");
  return impl_->shape;
}

Dtype Tensor::dtype() const {
  check(impl_ != nullptr, "tensor: an empty handle has no element type");
  return impl_->dtype;
}

std::int64_t Tensor::size() const { return shape().size(); }

void* Tensor::data(Dtype expected) const {
  if (impl_ == nullptr) [[unlikely]]
    fail("tensor: an empty handle has no elements");
  if (impl_->dtype != expected) [[unlikely]]
    fail("tensor: elements read as {}, but they are {} (shape {})", to_string(expected),
         to_string(impl_->dtype), to_string(impl_->shape));
  return impl_->storage->data;
}

std::span<const std::byte> Tensor::raw() const& {
  return {static_cast<const std::byte*>(data(dtype())), static_cast<std::size_t>(bytes())};
}

std::span<std::byte> Tensor::mutable_raw() & {
  return {static_cast<std::byte*>(data(dtype())), static_cast<std::size_t>(bytes())};
}

float Tensor::item() const {
  check(size() == 1, "item: expected a tensor with one element, given shape {}", to_string(shape()));
  return span<float>()[0];
}

Tensor Tensor::clone() const {
  Tensor result = empty(shape(), dtype());
  std::ranges::copy(raw(), result.mutable_raw().begin());
  return result;
}

Tensor Tensor::view(const Shape& shape) const {
  if (shape.size() != size())
    fail("view: shape {} holds {} elements, the tensor {} has {}", to_string(shape), shape.size(),
         to_string(impl_->shape), size());
  auto impl = std::make_shared<Impl>();
  impl->shape = shape;
  impl->dtype = impl_->dtype;
  impl->storage = impl_->storage;
  return Tensor(std::move(impl));
}

bool Tensor::requires_grad() const {
  return impl_ != nullptr && impl_->gradient && impl_->gradient->requires_grad;
}

Tensor& Tensor::set_requires_grad(bool on) {
  check(dtype() == Dtype::f32, "requires_grad: only f32 tensors have gradients, given {}{}",
        to_string(impl_->dtype), to_string(impl_->shape));
  check(!impl_->gradient || !impl_->gradient->node,
        "requires_grad: the tensor is the result of an operation, only leaves can be set (shape {})",
        to_string(impl_->shape));
  if (!impl_->gradient) {
    if (!on) return *this;
    impl_->gradient = std::make_shared<Gradient>();
  }
  impl_->gradient->requires_grad = on;
  return *this;
}

Tensor Tensor::grad() const { return impl_ != nullptr && impl_->gradient ? impl_->gradient->grad : Tensor(); }

void Tensor::set_grad(Tensor grad) {
  check(impl_ != nullptr, "set_grad: an empty handle has no gradient");
  if (!grad) {
    if (impl_->gradient) impl_->gradient->grad = {};
    return;
  }
  check(grad.dtype() == Dtype::f32 && grad.shape() == shape() && dtype() == Dtype::f32,
        "set_grad: the gradient {}{} does not match the tensor {}{}", to_string(grad.dtype()),
        to_string(grad.shape()), to_string(dtype()), to_string(shape()));
  check(requires_grad() && !impl_->gradient->node,
        "set_grad: only leaves with requires_grad hold a gradient");
  impl_->gradient->grad = std::move(grad);
}

const std::shared_ptr<Tensor::Gradient>& Tensor::gradient() const& {
  static const std::shared_ptr<Gradient> none;
  return impl_ ? impl_->gradient : none;
}

std::string to_string(const Tensor& tensor) {
  if (!tensor) return "empty";
  constexpr std::int64_t kShown = 16;
  std::string result = fmt::format("{}{} {{", to_string(tensor.dtype()), to_string(tensor.shape()));
  const auto append = [&]<typename T>(std::span<const T> elements) {
    for (std::size_t i = 0; i < std::min<std::size_t>(elements.size(), kShown); ++i)
      fmt::format_to(std::back_inserter(result), "{}{}", i == 0 ? "" : ", ", elements[i]);
  };
  switch (tensor.dtype()) {
    case Dtype::f32:
      append(tensor.span<float>());
      break;
    case Dtype::f16:
      append(tensor.span<std::uint16_t>());
      break;
    case Dtype::i8:
      append(tensor.span<std::int8_t>());
      break;
    case Dtype::u8:
      append(tensor.span<std::uint8_t>());
      break;
    case Dtype::i16:
      append(tensor.span<std::int16_t>());
      break;
    case Dtype::i32:
      append(tensor.span<std::int32_t>());
      break;
    case Dtype::i64:
      append(tensor.span<std::int64_t>());
      break;
  }
  return result + (tensor.size() > kShown ? ", ...}" : "}");
}

}  // namespace lathe
