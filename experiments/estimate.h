#pragma once

#include "cell.h"

#include <cstdint>
#include <map>
#include <string>
#include <tuple>

namespace lathe::experiments {

/// How long trainings take here on one thread. Good to some 20 %.
class TrainingEstimate {
 public:
  /// Seconds that training a cell on so many images takes: some steps of its plain model are timed (once for
  /// a model, batch size and precision), times what its passes add.
  double seconds(const CellConfig& config, std::int64_t images);

 private:
  std::map<std::tuple<std::string, std::int64_t, Precision>, double> per_step_;
};

}  // namespace lathe::experiments
