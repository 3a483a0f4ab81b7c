#include "deploy.h"

#include <lathe/compress/calibrate.h>
#include <lathe/compress/quantize_aware.h>

namespace lathe::experiments {

graph::Graph in_integers(const TrainedModel& trained, const graph::Graph& real,
                         const compress::QuantizeOptions& options) {
  const Shape& input = real.value(real.inputs()[0]).shape;
  if (trained.quantization_aware) return compress::export_quantized(*trained.model, input, options);
  const auto estimator = options.scheme == compress::Scheme::int8 ? compress::Estimator::mean_squared_error
                                                                  : compress::Estimator::min_max;
  return compress::quantize(real, compress::calibrate(real, trained.calibration, {.estimator = estimator}),
                            options);
}

}  // namespace lathe::experiments
