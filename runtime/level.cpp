#include <lathe/base/cpu.h>
#include <lathe/base/error.h>
#include <lathe/runtime/plan.h>

namespace lathe::runtime {

namespace {

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
  if (has_avx512()) return Level::avx512;
  return has_avx2() ? Level::avx2 : Level::portable;
}

}  // namespace lathe::runtime
