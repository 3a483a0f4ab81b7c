#include "../fixed_point.h"
#include "reference.h"
#include "windows.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

namespace lathe::runtime::reference {

namespace {

/// How an image was quantized.
struct Codes {
  float scale = 1;
  std::int32_t zero_point = 0;
};

/// Asymmetric int8 codes of the elements, over their range widened to include 0: the formula of
/// graph::activation_parameters. NaN counts as the smallest code; infinite elements only are sure not to
/// break anything.
Codes quantize_image(const float* x, std::int64_t size, std::int8_t* codes) {
  float low = 0, high = 0;
  for (std::int64_t i = 0; i < size; ++i) {
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
  }
  const double width = static_cast<double>(high) - static_cast<double>(low);
  const double wide = width > 0 ? std::clamp(width / 255, 1e-30, static_cast<double>(FLT_MAX)) : 1;
  Codes result{.scale = static_cast<float>(wide)};
  const double zero_point = std::round(-128 - static_cast<double>(low) / static_cast<double>(result.scale));
  result.zero_point = static_cast<std::int32_t>(std::clamp(zero_point, -128., 127.));
  const float inverse_scale = 1 / result.scale;
  for (std::int64_t i = 0; i < size; ++i) codes[i] = to_code(x[i] * inverse_scale, result.zero_point);
  return result;
}

}  // namespace

// Sums are exact; then y = (s_x * s_w[c]) * sum + b[c] in this order. Loops as in the other convolutions.
void conv2d_dynamic(const Call& call, Range samples) noexcept {
  const auto& p = params<ConvDynamic>(call);
  Window2d window = p.window;
  const std::int64_t size = std::int64_t{window.in_h} * window.in_w * window.in_c;
  const std::int32_t group_in = window.in_c / p.groups, group_out = window.out_c / p.groups;
  const std::int64_t taps = std::int64_t{window.kernel_h} * window.kernel_w;
  auto* codes = static_cast<std::int8_t*>(call.scratch);
  float* out = output<float>(call) + samples.begin * window.out_h * window.out_w * window.out_c;
  for (std::int64_t n = samples.begin; n < samples.end; ++n) {
    const Codes x = quantize_image(input<float>(call) + n * size, size, codes);
    for (std::int64_t row = 0; row < window.out_h; ++row) {
      for (std::int32_t column = 0; column < window.out_w; ++column) {
        const Place at = place(window, row, column);
        for (std::int32_t o = 0; o < window.out_c; ++o) {
          const std::int8_t* weight = p.weight + o * taps * group_in;
          std::int32_t sum = 0;
          for_each_tap(window, at, codes, [&](const std::int8_t* pixel, std::int32_t tap) {
            const std::int8_t* from = pixel + o / group_out * group_in;
            for (std::int32_t c = 0; c < group_in; ++c)
              sum += (from[c] - x.zero_point) * weight[tap * group_in + c];
          });
          const float y = x.scale * p.scale[o] * static_cast<float>(sum);
          *out++ = std::min(std::max(p.bias != nullptr ? y + p.bias[o] : y, p.clamp.low), p.clamp.high);
        }
      }
    }
  }
}

}  // namespace lathe::runtime::reference
