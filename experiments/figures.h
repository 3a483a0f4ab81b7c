#pragma once

#include "document.h"
#include "gnuplot.h"
#include "rows.h"

#include <string>
#include <vector>

namespace lathe::experiments {

/// Draws figures into figures/ of a folder: <name>.png, .svg, .dat and .gp, the script that gnuplot makes
/// both out of. Those that cannot be drawn are left out and named in `missing`; without gnuplot it is one
/// line and the data and scripts are there all the same.
std::vector<FigureBlock> draw_figures(const std::vector<Figure>& figures, const ResultFolder& folder,
                                      std::vector<std::string>& missing);
/// All figures of a run.
std::vector<FigureBlock> draw_figures(const Results& run, std::vector<std::string>& missing);

/// Of each base the experiment whose int8 file (without any: fp32) is the most accurate.
std::vector<const Row*> best_of_each_base(const std::vector<Row>& rows);

}  // namespace lathe::experiments
