#pragma once

#include <lathe/base/random.h>

/// For generated pictures, which are the same to the byte on every machine. Only files that are compiled
/// without contraction into fused multiply-adds include this: inline code that others compile too could be
/// taken from there.
namespace lathe::datasets {

/// Uniform in [low, high). Not Rng::uniform(low, high), whose inline code other files compile with other
/// flags.
inline float between(Rng& rng, float low, float high) {
  const float unit = rng.uniform();
  return low + (high - low) * unit;
}

/// Clamped to 0..1, in a form that compilers vectorise.
inline float unit(float x) {
  x = x < 0.0f ? 0.0f : x;
  return x > 1.0f ? 1.0f : x;
}

}  // namespace lathe::datasets
