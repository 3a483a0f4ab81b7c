#pragma once

#include <cstddef>

/// The caching allocator behind every Tensor. All functions may be called from any thread.
namespace lathe {

/// A block of at least `bytes` bytes, aligned to 64 (from 2 MiB on: to 2 MiB, backed by huge pages where the
/// system grants them), uninitialised. Throws Error when the system has no more.
void* allocate_block(std::size_t bytes);

/// Keeps a block for reuse. `bytes` is what allocate_block was asked for.
void free_block(void* block, std::size_t bytes) noexcept;

}  // namespace lathe
