#pragma once

#include "packed.h"

/// Linear layers whose weights are at most sixteen different numbers.
namespace lathe::runtime {

constexpr int kPaletteColors = 16;
constexpr int kPaletteSteps = 8;  ///< indices of 4 bits in 32

/// PackedLinear with indices in place of weights: for each group of outputs
/// [ceil(I / (8 * vector))][outputs of the group][vector] numbers of 32 bits, of which bits 4 * s to 4 * s + 3
/// are the index of the weight of step s. `vector`: Blocking::dot_f32. Unit: a sample.
struct PaletteLinear {
  PackedLinear layer;
  float colors[kPaletteColors];
};

/// A permutation of sixteen numbers is one instruction there.
namespace avx512 {
extern const Kernel kPaletteLinear;
}

}  // namespace lathe::runtime
