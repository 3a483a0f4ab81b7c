#include "kernels/onednn/bf16.h"

#include <lathe/base/error.h>
#include <lathe/core/precision.h>

namespace lathe {
namespace {

thread_local Precision current = Precision::f32;

}  // namespace

std::string_view to_string(Precision precision) { return precision == Precision::bf16 ? "bf16" : "f32"; }

Precision parse_precision(std::string_view text) {
  for (const Precision precision : {Precision::f32, Precision::bf16})
    if (text == to_string(precision)) return precision;
  fail("there is no precision '{}'; there are: f32, bf16", text);
}

bool is_supported(Precision precision) { return precision == Precision::f32 || kernels::onednn::has_bf16(); }

void check_supported(Precision precision) {
  check(is_supported(precision),
        "precision bf16: oneDNN has no bf16 arithmetic for this processor, it needs AVX-512 (F, BW, DQ, VL); "
        "use f32");
}

Precision precision() { return current; }

PrecisionScope::PrecisionScope(Precision precision) : before_(current) {
  check_supported(precision);
  current = precision;
}

PrecisionScope::~PrecisionScope() { current = before_; }

}  // namespace lathe
