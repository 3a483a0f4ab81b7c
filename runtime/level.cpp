#include <lathe/base/error.h>
#include <lathe/runtime/plan.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace lathe::runtime {

namespace {

#if defined(__x86_64__)

struct Registers {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(unsigned leaf, unsigned subleaf) {
  Registers r;
  if (__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx) == 0) return {};
  return r;
}

/// The register states that the operating system saves (XCR0). By assembly: the intrinsic would need -mxsave.
std::uint64_t saved_states() {
  std::uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (std::uint64_t{high} << 32) | low;
}

bool all(std::uint64_t value, std::uint64_t bits) { return (value & bits) == bits; }

Level detect() {
  constexpr unsigned kFma = 1u << 12, kOsxsave = 1u << 27, kAvx = 1u << 28, kF16c = 1u << 29;
  const Registers one = cpuid(1, 0);
  if (!all(one.ecx, kFma | kOsxsave | kAvx | kF16c)) return Level::portable;
  constexpr std::uint64_t kXmmYmm = 0x6, kOpmaskZmm = 0xe0;
  const std::uint64_t states = saved_states();
  if (!all(states, kXmmYmm)) return Level::portable;
  const Registers seven = cpuid(7, 0);
  constexpr unsigned kAvx2 = 1u << 5;
  if (!all(seven.ebx, kAvx2)) return Level::portable;
  constexpr unsigned kF = 1u << 16, kDq = 1u << 17, kBw = 1u << 30, kVl = 1u << 31, kVnni = 1u << 11;
  if (!all(states, kOpmaskZmm) || !all(seven.ebx, kF | kDq | kBw | kVl) || !all(seven.ecx, kVnni))
    return Level::avx2;
  return Level::avx512;
}

#else

Level detect() { return Level::portable; }

#endif

constexpr Level kLevels[] = {Level::reference, Level::portable, Level::avx2, Level::avx512};

}  // namespace

std::string_view to_string(Level level) {
  switch (level) {
    case Level::reference:
      return "reference";
    case Level::portable:
      return "portable";
    case Level::avx2:
      return "avx2";
    case Level::avx512:
      return "avx512";
  }
  return "?";
}

Level parse_level(std::string_view name) {
  for (const Level level : kLevels)
    if (to_string(level) == name) return level;
  fail("kernel level '{}' does not exist; there are reference, portable, avx2 and avx512", name);
}

Level best_level() {
  static const Level level = detect();
  return level;
}

}  // namespace lathe::runtime
