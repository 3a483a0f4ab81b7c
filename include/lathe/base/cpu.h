#pragma once

namespace lathe {

/// Do processor and operating system run AVX2, FMA and F16C instructions?
bool has_avx2();
/// ... and AVX-512 F, BW, DQ, VL and VNNI?
bool has_avx512();

}  // namespace lathe
