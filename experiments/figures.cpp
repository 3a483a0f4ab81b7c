#include "figures.h"

#include <algorithm>

namespace lathe::experiments {

std::vector<FigureBlock> draw_figures(const Results&, std::vector<std::string>&) { return {}; }

std::vector<const Row*> best_of_each_base(const std::vector<Row>& rows) {
  std::vector<const Row*> best;
  const auto worth = [](const Row& row) {
    return row.number("int8_acc").value_or(row.number("float_acc").value_or(-1));
  };
  for (const Row& row : rows) {
    if (!row.error.empty()) continue;
    const auto same = std::ranges::find_if(best, [&](const Row* other) { return other->base == row.base; });
    if (same == best.end())
      best.push_back(&row);
    else if (worth(row) > worth(**same))
      *same = &row;
  }
  return best;
}

}  // namespace lathe::experiments
