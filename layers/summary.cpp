#include <lathe/core/autograd.h>
#include <lathe/layers/module.h>

#include "forward_observer.h"

#include <algorithm>
#include <array>
#include <map>

namespace lathe::layers {
namespace {

std::string with_commas(std::int64_t number) {
  std::string text = std::to_string(number);
  for (int i = static_cast<int>(text.size()) - 3; i > 0; i -= 3)
    text.insert(static_cast<std::size_t>(i), ",");
  return text;
}

}  // namespace

std::string summary(Module& module, const Shape& input) {
  std::map<const Module*, std::string> outputs;
  {
    const EvalMode mode(module);
    const NoGrad no_grad;
    const detail::ForwardObserver observer(
        [&](const Module& seen, const Tensor& output) { outputs[&seen] = to_string(output.shape()); });
    module(Tensor::zeros(input));
  }

  using Row = std::array<std::string, 5>;
  std::vector<Row> rows = {{"layer", "type", "options", "output", "parameters"}};
  rows.push_back({"input", "", "", to_string(input), "0"});
  for (const auto& [path, layer] : module.modules()) {
    if (layer->has_children() && !layer->has_parameters()) continue;
    const auto output = outputs.find(layer);
    rows.push_back({path, layer->type(), layer->options(),
                    output == outputs.end() ? "(not used)" : output->second,
                    with_commas(count_parameters(*layer).all)});
  }
  std::array<std::size_t, 5> widths{};
  for (const Row& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());

  std::string text;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < 4; ++i) text += fmt::format("{:<{}}  ", row[i], widths[i]);
    text += fmt::format("{:>{}}\n", row[4], widths[4]);
  }
  const ParameterTotals totals = count_parameters(module);
  text += fmt::format("parameters: {} all, {} trainable\n", with_commas(totals.all),
                      with_commas(totals.trainable));
  return text;
}

}  // namespace lathe::layers
