#pragma once

#include "../kernel.h"

/// Typed access to the untyped pointers of a call.
namespace lathe::runtime {

template <typename T>
const T& params(const Call& call) {
  return *static_cast<const T*>(call.params);
}
template <typename T>
const T* input(const Call& call) {
  return static_cast<const T*>(call.input);
}
template <typename T>
const T* second(const Call& call) {
  return static_cast<const T*>(call.second);
}
template <typename T>
T* output(const Call& call) {
  return static_cast<T*>(call.output);
}

}  // namespace lathe::runtime
