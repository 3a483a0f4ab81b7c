#pragma once

#include "gnuplot.h"
#include "rows.h"

#include <string>
#include <vector>

namespace lathe::experiments {

/// The latency of every variant of the kinds of one base: bars to the median, whiskers to the 90th
/// percentile.
Figure latency_figure(const std::string& base, const std::vector<Group>& groups,
                      const std::vector<std::string>& variants);

/// Time and bytes of each layer of one experiment, fp32 beside int8. Empty (no data) when they were not
/// recorded.
Figure layers_figure(const Row& row);

/// Labels against predictions of one experiment's variant. Empty when it was not recorded.
Figure confusion_figure(const Row& row, const std::string& variant);

}  // namespace lathe::experiments
