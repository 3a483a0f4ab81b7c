#include "../../runtime/program.h"
#include "graphs.h"

#include "support/errors.h"

using namespace lathe::runtime;

TEST_CASE("levels have names that parse back") {
  for (const Level level : {Level::reference, Level::portable, Level::avx2, Level::avx512})
    CHECK(parse_level(to_string(level)) == level);
  CHECK_ERROR(parse_level("avx9"), "'avx9' does not exist; there are reference, portable, avx2 and avx512");
}

TEST_CASE("a level that the processor lacks is refused") {
  CHECK_ERROR(build_program(graphs::tutorial(lathe::Dtype::f32), {.level = Level::avx512}, Level::avx2),
              "level avx512 was asked for, this processor runs up to avx2");
}

TEST_CASE("the processor's level is the default and no kernel above the level is used") {
  CHECK(build_program(graphs::tutorial(lathe::Dtype::f32), {}, Level::portable).level == Level::portable);
  const Program program =
      build_program(graphs::tutorial(lathe::Dtype::i8), {.level = Level::reference}, Level::portable);
  for (const StepInfo& info : program.infos) CHECK(info.kernel.ends_with("_reference"));
}
