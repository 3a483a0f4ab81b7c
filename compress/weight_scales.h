#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace lathe::compress {

/// Scales of the int8 codes of a weight, one for each output channel (axis 0), symmetric with codes
/// -127..127.
///
/// In general the largest weight of a channel gets code 127. Channels that take their values from one
/// codebook (clustering), each times a factor of its own (batch norm that was folded in), get scales in the
/// ratio of these factors: then the codes of all channels come from one codebook, too, which is what makes
/// the file small, and weights that were trained on such a grid keep their codes. Weights that are whole
/// multiples of the channel's own step already (trained so) keep that step. The scale of a channel of zeros
/// is 0, or any.
std::vector<float> weight_scales(std::span<const float> weights, std::size_t channels);

/// Do these scales give every weight back, up to the rounding of floats?
bool lossless(std::span<const float> weights, std::span<const float> scales);

}  // namespace lathe::compress
