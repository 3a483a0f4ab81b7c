#pragma once

namespace lathe::kernels::onednn {

/// Can oneDNN multiply Bf16 on this processor? With AVX-512 it can, by emulation where the processor itself
/// cannot.
bool has_bf16();

}  // namespace lathe::kernels::onednn
