#pragma once

namespace lathe::runtime {
namespace {

template <int kIndex>
struct Constant {
  static constexpr int value = kIndex;
};

/// Calls body(Constant<0>()), ..., body(Constant<kCount - 1>()): a loop whose index is known to the compiler.
template <int kCount, int kIndex = 0, typename Body>
__attribute__((always_inline)) inline void unroll(Body&& body) {
  if constexpr (kIndex < kCount) {
    body(Constant<kIndex>());
    unroll<kCount, kIndex + 1>(body);
  }
}

}  // namespace
}  // namespace lathe::runtime
