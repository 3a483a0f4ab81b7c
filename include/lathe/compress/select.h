#pragma once

#include <lathe/layers/module.h>

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Which layers of a model a compression method works on: one way to say it for all methods.
namespace lathe::compress {

/// A layer is taken when its type is right, a pattern matches, no exclusion matches and the visitor agrees.
///
///   {.patterns = {"conv*"}, .exclude = {"conv1"}}
///   {.types = {"Linear"}}
///   {.visitor = [](const std::string& path, const layers::Module&) { return path != "head.linear"; }}
struct Selection {
  /// Globs on the layer's path ("block1.conv"), as in fnmatch(3): `*` any text, dots included, `?` one
  /// character, `[ab]` one of them. Empty: every layer.
  std::vector<std::string> patterns = {};
  std::vector<std::string> exclude = {};
  /// Names as in Module::type(). Empty: the types the method works on by default.
  std::vector<std::string> types = {};
  /// Has the last word; unset: agrees.
  std::function<bool(const std::string& path, const layers::Module& layer)> visitor = {};
};

/// A layer and its path.
struct SelectedLayer {
  std::string path;
  layers::Module* layer = nullptr;
};

/// A weight of a selected layer. The handle shares the weight with the layer.
struct SelectedWeight {
  std::string name;  ///< "block1.conv.weight"
  layers::Parameter parameter;
  layers::Module* layer = nullptr;
};

/// What a method was asked for and left alone, and why.
struct LeftOut {
  std::string name;  ///< of the weight or layer
  std::string reason;
};

/// The layers in the order of the model: modules with weights of their own or without children. `method`
/// stands in front of errors; `default_types` are those taken when the selection names none (empty: all).
/// Throws Error, listing the layers there are, when a pattern, an exclusion or a type matches no layer, a
/// pattern matches only layers of other types, or nothing is selected at all.
std::vector<SelectedLayer> select_layers(layers::Module& model, const Selection& selection,
                                         std::string_view method,
                                         std::span<const std::string_view> default_types = {});

/// The weights of the selected layers: their own parameters of rank 2 or more (not biases, not batch norm). A
/// weight that two layers share comes once. Throws Error as select_layers does, and when no selected layer
/// has a weight.
std::vector<SelectedWeight> select_weights(layers::Module& model, const Selection& selection,
                                           std::string_view method,
                                           std::span<const std::string_view> default_types);

/// Throws Error naming the first of these weights that has a transform of this stage already: before any gets
/// one.
void check_free(std::span<const SelectedWeight> weights, layers::Stage stage, std::string_view method);

}  // namespace lathe::compress
