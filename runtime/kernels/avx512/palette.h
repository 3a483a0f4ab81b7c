#pragma once

#include "floats.h"

namespace lathe::runtime {
namespace {

/// F32 with weights of a palette: a permutation takes the low four bits of each lane.
struct Palette : F32 {
  using Colors = __m512;
  using Indices = __m512i;
  static Colors colors(const float* colors) { return _mm512_loadu_ps(colors); }
  static Indices load_indices(const void* indices) { return _mm512_loadu_si512(indices); }
  static __m512 look_up(Colors colors, Indices indices, int step) {
    return _mm512_permutexvar_ps(_mm512_srl_epi32(indices, _mm_cvtsi32_si128(4 * step)), colors);
  }
};

}  // namespace
}  // namespace lathe::runtime
