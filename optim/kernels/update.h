#pragma once

#include <cstdint>

/// The inner loops of the optimisers, compiled once per instruction set. No products are fused into sums in
/// any of them, so that all levels give the same bytes. Arrays of one call do not overlap; nothing is aligned
/// beyond its element.
namespace lathe::optim::kernels {

struct SgdFactors {
  float rate;
  float momentum;
  float decay;  ///< of the L2 penalty
  bool nesterov;
};

struct AdamFactors {
  float rate;  ///< with both bias corrections
  float one_minus_beta1;
  float one_minus_beta2;
  float epsilon;
  float decay;  ///< of the L2 penalty
  float keep;   ///< what decoupled weight decay leaves of a weight
};

struct RmsPropFactors {
  float rate;
  float one_minus_rho;
  float epsilon;
  float decay;  ///< of the L2 penalty
};

struct Table {
  const char* level;
  void (*sgd)(const SgdFactors&, float* value, const float* grad, std::int64_t size);
  void (*momentum)(const SgdFactors&, float* value, const float* grad, float* v, std::int64_t size);
  void (*adam)(const AdamFactors&, float* value, const float* grad, float* m, float* v, std::int64_t size);
  void (*rms_prop)(const RmsPropFactors&, float* value, const float* grad, float* v, std::int64_t size);
  double (*sum_of_squares)(const float* values, std::int64_t size);
  void (*scale)(float* values, float factor, std::int64_t size);
};

namespace portable {
extern const Table kTable;
}
namespace avx2 {
extern const Table kTable;
}
namespace avx512 {
extern const Table kTable;
}

}  // namespace lathe::optim::kernels
