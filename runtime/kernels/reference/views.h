#pragma once

#include "../kernel.h"

/// Typed access to the untyped pointers of a call, and loops over them.
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

/// out[i] = function(x[i]) over the range. In and out may be the same buffer.
template <typename Out, typename In, typename Function>
void map(const Call& call, Range elements, Function&& function) {
  const In* x = input<In>(call);
  Out* out = output<Out>(call);
  for (std::int64_t i = elements.begin; i < elements.end; ++i) out[i] = function(x[i]);
}

template <typename T, typename Function>
void map2(const Call& call, Range elements, Function&& function) {
  const T *a = input<T>(call), *b = second<T>(call);
  T* out = output<T>(call);
  for (std::int64_t i = elements.begin; i < elements.end; ++i) out[i] = function(a[i], b[i]);
}

/// a [N,P,C], b [N,C]
template <typename T, typename Function>
void map_channels(const Call& call, Range pixels, const MultiplyChannels& p, Function&& function) {
  for (std::int64_t pixel = pixels.begin; pixel < pixels.end; ++pixel) {
    const T* a = input<T>(call) + pixel * p.channels;
    const T* b = second<T>(call) + pixel / p.pixels * p.channels;
    T* out = output<T>(call) + pixel * p.channels;
    for (std::int32_t c = 0; c < p.channels; ++c) out[c] = function(a[c], b[c]);
  }
}

}  // namespace lathe::runtime
