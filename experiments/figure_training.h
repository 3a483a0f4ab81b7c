#pragma once

#include "gnuplot.h"
#include "rows.h"

#include <filesystem>
#include <vector>

namespace lathe::experiments {

/// What training was like, out of the history files of a run; figures of one base and kind. Without data
/// where there is no history.

/// Accuracy and loss by epoch, training and validation; a line for each seed.
Figure curves_figure(const Group& group, const ResultFolder& folder);
/// The share of zeros of each weight tensor by epoch, of the first seed. Without data where nothing was
/// pruned.
Figure sparsity_figure(const Group& group, const ResultFolder& folder);
/// Histograms of each weight tensor before and after training, of the first seed.
Figure weights_figure(const Group& group, const ResultFolder& folder);

}  // namespace lathe::experiments
