#include "allocator.h"

#include <lathe/core/tensor.h>

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <mutex>

// Freed blocks are poisoned under AddressSanitizer, so that it sees reads of dead tensors in spite of the
// cache. All but the link at their begin: the leak checker does not follow pointers in poisoned memory.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LATHE_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define LATHE_ASAN 1
#endif
#if defined(LATHE_ASAN)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) static_cast<void>(0)
#define ASAN_UNPOISON_MEMORY_REGION(address, size) static_cast<void>(0)
#endif

namespace lathe {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kMaxBytes = std::size_t{1} << 46;
constexpr int kStepBits = 2;  // size classes a doubling: 2^2, so at most a quarter of a block is unused
constexpr int kFirstLog = 8;  // up to 256 bytes all classes are multiples of 64
constexpr int kClasses = (46 - kFirstLog + 1) << kStepBits;

struct SizeClass {
  int index;
  std::size_t bytes;
};

/// The smallest class that holds `bytes`: m * 2^(e-2) with m in 5..8, at least 64.
SizeClass class_of(std::size_t bytes) {
  bytes = std::max<std::size_t>(bytes, 1);
  if (bytes <= std::size_t{1} << kFirstLog) {
    const std::size_t steps = (bytes + kAlignment - 1) / kAlignment;
    return {static_cast<int>(steps) - 1, steps * kAlignment};
  }
  const int log = std::bit_width(bytes - 1) - 1;  // 2^log < bytes <= 2^(log+1)
  const int shift = log - kStepBits;
  const std::size_t steps = ((bytes - 1) >> shift) + 1 - (std::size_t{1} << kStepBits);  // 1..4 above 2^log
  return {((log - kFirstLog + 1) << kStepBits) + static_cast<int>(steps) - 1,
          (steps + (std::size_t{1} << kStepBits)) << shift};
}

/// Fresh pages aligned to a huge page; null when the system refuses.
void* map_pages(std::size_t bytes) {
  const std::size_t reserved = bytes + kHugePage;
  void* memory =
      mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  auto* begin = static_cast<std::byte*>(memory);
  const std::size_t head = (kHugePage - reinterpret_cast<std::uintptr_t>(begin) % kHugePage) % kHugePage;
  if (head > 0) munmap(begin, head);
  munmap(begin + head + bytes, kHugePage - head);
  madvise(begin + head, bytes, MADV_HUGEPAGE);  // a wish: without it the pages are merely small
  return begin + head;
}

void* system_allocate(std::size_t bytes) {
  return bytes >= kHugePage ? map_pages(bytes) : std::aligned_alloc(kAlignment, bytes);
}

void system_free(void* block, std::size_t bytes) {
  if (bytes >= kHugePage)
    munmap(block, bytes);
  else
    std::free(block);
}

/// Free lists by size class, linked through the blocks themselves.
class Cache {
 public:
  void* take(std::size_t bytes) {
    check(bytes <= kMaxBytes, "tensor: cannot allocate {} bytes", bytes);
    const SizeClass size = class_of(bytes);
    const std::lock_guard lock(mutex_);
    Free*& list = lists_[static_cast<std::size_t>(size.index)];
    void* block = list;
    if (list != nullptr) {
      ASAN_UNPOISON_MEMORY_REGION(block, size.bytes);
      list = list->next;
      stats_.cached_bytes -= static_cast<std::int64_t>(size.bytes);
    } else {
      block = system_allocate(size.bytes);
      if (block == nullptr) {
        release_locked();
        block = system_allocate(size.bytes);
      }
      check(block != nullptr, "tensor: cannot allocate {} bytes, {} are in use", bytes, stats_.used_bytes);
      ++stats_.system_allocations;
    }
    stats_.used_bytes += static_cast<std::int64_t>(size.bytes);
    return block;
  }

  void give(void* block, std::size_t bytes) noexcept {
    const SizeClass size = class_of(bytes);
    const std::lock_guard lock(mutex_);
    Free*& list = lists_[static_cast<std::size_t>(size.index)];
    list = new (block) Free{list, size.bytes};
    ASAN_POISON_MEMORY_REGION(list + 1, size.bytes - sizeof(Free));
    stats_.used_bytes -= static_cast<std::int64_t>(size.bytes);
    stats_.cached_bytes += static_cast<std::int64_t>(size.bytes);
  }

  void release() {
    const std::lock_guard lock(mutex_);
    release_locked();
  }

  MemoryStats stats() {
    const std::lock_guard lock(mutex_);
    return stats_;
  }

 private:
  struct Free {
    Free* next;
    std::size_t bytes;
  };

  void release_locked() {
    for (Free*& list : lists_) {
      while (list != nullptr) {
        Free* block = list;
        const std::size_t bytes = block->bytes;
        ASAN_UNPOISON_MEMORY_REGION(block, bytes);
        list = block->next;
        system_free(block, bytes);
      }
    }
    stats_.cached_bytes = 0;
  }

  std::mutex mutex_;
  std::array<Free*, kClasses> lists_{};
  MemoryStats stats_;
};

/// Never destroyed: tensors in static objects may outlive any other static (documented exception to "no
/// mutable globals").
Cache& cache() {
  static Cache& instance = *new Cache;
  return instance;
}

}  // namespace

void* allocate_block(std::size_t bytes) { return cache().take(bytes); }
void free_block(void* block, std::size_t bytes) noexcept { cache().give(block, bytes); }
MemoryStats memory_stats() { return cache().stats(); }
void release_cached_memory() { cache().release(); }

}  // namespace lathe
