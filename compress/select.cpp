#include <lathe/compress/select.h>

#include <lathe/base/error.h>

#include <fnmatch.h>

#include <algorithm>

namespace lathe::compress {
namespace {

bool matches(const std::string& pattern, const std::string& path) {
  return ::fnmatch(pattern.c_str(), path.c_str(), 0) == 0;
}

/// The parameters of a module itself: not of its children, not of what is attached to them.
std::vector<layers::NamedParameter> own_parameters(const layers::Module& module) {
  std::vector<layers::NamedParameter> result;
  for (layers::NamedParameter& parameter : module.parameters())
    if (parameter.name.find('.') == std::string::npos) result.push_back(std::move(parameter));
  return result;
}

bool is_weight(const layers::Parameter& parameter) { return parameter.master().shape().rank() >= 2; }

std::vector<SelectedLayer> all_layers(layers::Module& model) {
  std::vector<SelectedLayer> result;
  for (const auto& [path, module] : model.modules())
    if (!module->has_children() || module->has_parameters()) result.push_back({path, module});
  return result;
}

std::string list(const std::vector<SelectedLayer>& layers) {
  std::string text;
  for (const auto& [path, layer] : layers)
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", path.empty() ? "the model itself" : path,
                        layer->type());
  return text.empty() ? "none" : text;
}

template <typename Names>
std::string join(const Names& names) {
  std::string text;
  for (const auto& name : names) text += fmt::format("{}{}", text.empty() ? "" : ", ", name);
  return text;
}

/// Patterns of either list that match no layer are mistakes in writing.
void check_patterns(std::string_view method, std::string_view what, const std::vector<std::string>& patterns,
                    const std::vector<SelectedLayer>& layers) {
  for (const std::string& pattern : patterns)
    if (std::ranges::none_of(layers,
                             [&](const SelectedLayer& layer) { return matches(pattern, layer.path); }))
      fail("{}: {} '{}' matches no layer; there are: {}", method, what, pattern, list(layers));
}

}  // namespace

std::vector<SelectedLayer> select_layers(layers::Module& model, const Selection& selection,
                                         std::string_view method,
                                         std::span<const std::string_view> default_types) {
  const std::vector<SelectedLayer> layers = all_layers(model);
  check_patterns(method, "pattern", selection.patterns, layers);
  check_patterns(method, "exclusion", selection.exclude, layers);
  for (const std::string& type : selection.types)
    if (std::ranges::none_of(layers, [&](const SelectedLayer& layer) { return layer.layer->type() == type; }))
      fail("{}: there is no layer of type '{}'; there are: {}", method, type, list(layers));

  std::vector<std::string> types = selection.types;
  if (types.empty()) types.assign(default_types.begin(), default_types.end());
  std::vector<SelectedLayer> typed;
  for (const SelectedLayer& layer : layers)
    if (types.empty() || std::ranges::count(types, layer.layer->type()) > 0) typed.push_back(layer);
  check(!typed.empty(), "{}: the model has no layer of type {}; there are: {}", method, join(types),
        list(layers));
  for (const std::string& pattern : selection.patterns)
    if (std::ranges::none_of(typed, [&](const SelectedLayer& layer) { return matches(pattern, layer.path); }))
      fail("{}: pattern '{}' matches no layer of type {} (name the type to take others); there are: {}",
           method, pattern, join(types), list(layers));

  std::vector<SelectedLayer> result;
  for (const SelectedLayer& layer : typed) {
    const auto hit = [&](const std::string& pattern) { return matches(pattern, layer.path); };
    const bool wanted = selection.patterns.empty() || std::ranges::any_of(selection.patterns, hit);
    if (wanted && std::ranges::none_of(selection.exclude, hit) &&
        (!selection.visitor || selection.visitor(layer.path, *layer.layer)))
      result.push_back(layer);
  }
  check(!result.empty(), "{}: the selection leaves no layer; there are: {}", method, list(typed));
  return result;
}

std::vector<SelectedWeight> select_weights(layers::Module& model, const Selection& selection,
                                           std::string_view method,
                                           std::span<const std::string_view> default_types) {
  const std::vector<SelectedLayer> layers = select_layers(model, selection, method, default_types);
  std::vector<SelectedWeight> result;
  for (const auto& [path, layer] : layers)
    for (const layers::NamedParameter& own : own_parameters(*layer)) {
      const auto same = [&](const SelectedWeight& weight) {
        return weight.parameter.master().is(own.parameter.master());
      };
      if (is_weight(own.parameter) && std::ranges::none_of(result, same))
        result.push_back({path.empty() ? own.name : path + "." + own.name, own.parameter, layer});
    }
  check(!result.empty(), "{}: no selected layer has a weight of rank 2 or more; selected are: {}", method,
        list(layers));
  return result;
}

void check_free(std::span<const SelectedWeight> weights, layers::Stage stage, std::string_view method) {
  for (const SelectedWeight& weight : weights)
    for (const auto& transform : weight.parameter.transforms())
      check(transform->stage() != stage,
            "{}: {} has a transform of stage '{}' already; strip() the model or leave it out", method,
            weight.name, to_string(stage));
}

}  // namespace lathe::compress
