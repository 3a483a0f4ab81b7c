#include <lathe/base/cpu.h>

#if defined(__x86_64__)
#include <cpuid.h>

#include <cstdint>
#endif

namespace lathe {

#if defined(__x86_64__)
namespace {

struct Registers {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(unsigned leaf, unsigned subleaf) {
  Registers r;
  if (__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx) == 0) return {};
  return r;
}

bool all(std::uint64_t value, std::uint64_t bits) { return (value & bits) == bits; }

/// Does the operating system save these register states (XCR0)? By assembly: the intrinsic would need -mxsave.
bool saves(std::uint64_t states) {
  if (!all(cpuid(1, 0).ecx, 1u << 27)) return false;  // OSXSAVE: xgetbv is there
  std::uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return all((std::uint64_t{high} << 32) | low, states);
}

bool detect_avx2() {
  constexpr unsigned kFma = 1u << 12, kAvx = 1u << 28, kF16c = 1u << 29, kAvx2 = 1u << 5;
  constexpr std::uint64_t kXmmYmm = 0x6;
  return all(cpuid(1, 0).ecx, kFma | kAvx | kF16c) && saves(kXmmYmm) && all(cpuid(7, 0).ebx, kAvx2);
}

bool detect_avx512() {
  constexpr unsigned kF = 1u << 16, kDq = 1u << 17, kBw = 1u << 30, kVl = 1u << 31, kVnni = 1u << 11;
  constexpr std::uint64_t kOpmaskZmm = 0xe0;
  const Registers seven = cpuid(7, 0);
  return has_avx2() && saves(kOpmaskZmm) && all(seven.ebx, kF | kDq | kBw | kVl) && all(seven.ecx, kVnni);
}

}  // namespace

bool has_avx2() {
  static const bool has = detect_avx2();
  return has;
}

bool has_avx512() {
  static const bool has = detect_avx512();
  return has;
}

#else

bool has_avx2() { return false; }
bool has_avx512() { return false; }

#endif

}  // namespace lathe
