#pragma once

#include <cstdint>
#include <string_view>

namespace lathe {

/// What convolutions and linear layers multiply in while training.
///
/// With bf16 their inputs, weights and the gradients of their outputs are rounded to bfloat16 (8 bits of
/// mantissa, the range of f32; to nearest, halves to even); products are summed in f32, and results are f32.
/// The weights that an optimiser changes, biases, batch norm, the loss and everything else stay f32.
/// Depthwise convolutions and layers of fewer than 16 inputs (the channels of a convolution) compute in f32
/// either way: blocks of 16 are what is multiplied at once.
enum class Precision : std::uint8_t { f32, bf16 };

/// "f32" or "bf16".
std::string_view to_string(Precision precision);
/// Throws Error naming what there is.
Precision parse_precision(std::string_view text);

/// Has this processor the means? f32 is always there; bf16 needs AVX-512. Without AMX or AVX512-BF16 it is
/// emulated, which is slower than f32.
bool is_supported(Precision precision);
/// Throws Error unless it has, saying what is missing.
void check_supported(Precision precision);

/// What operations on this thread compute in; f32 outside of scopes.
Precision precision();

/// Sets precision() of this thread while it lives. A gradient is computed in the precision that its operation
/// had, so a scope need only cover the forward computation. It does not ask whether a model is in training
/// mode: evaluate outside of it, which is what Trainer does, and the figures are those that the exported
/// model will give.
class PrecisionScope {
 public:
  /// Throws Error as check_supported().
  explicit PrecisionScope(Precision precision);
  ~PrecisionScope();
  PrecisionScope(const PrecisionScope&) = delete;
  PrecisionScope& operator=(const PrecisionScope&) = delete;

 private:
  Precision before_;
};

}  // namespace lathe
