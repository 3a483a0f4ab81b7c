#pragma once

#include "stb_decoder.h"

#include <cstddef>
#include <span>

namespace lathe::datasets {

/// How a camera was held: the Orientation tag (0x0112) of the EXIF data of a JPEG file, 1 to 8 (EXIF 2.3,
/// section 4.6.4). 1, upright, when there is none or it makes no sense.
int exif_orientation(std::span<const std::byte> jpeg);

/// Mirrors and turns a picture as its orientation says, so that it stands upright.
Picture upright(Picture picture, int orientation);

}  // namespace lathe::datasets
