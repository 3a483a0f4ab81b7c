#pragma once

#include <lathe/layers/pretrained.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::layers {

/// A layer of a model and where its tensors are in a file of torchvision or timm.
struct TorchLayer {
  std::string own;             ///< path of a convolution or linear layer
  std::string own_norm;        ///< of its batch norm; empty: folded into it, or none
  std::string file;            ///< path in the file
  std::string file_norm = {};  ///< of its batch norm; empty: it has a bias
  bool head = false;           ///< may stay as it is; without `own` it is of no use
};

/// Those of a bundled model, by what the file's tensors are called; empty: the names are others.
std::vector<TorchLayer> torch_layers(std::string_view model, const std::vector<NamedTensor>& tensors);

/// As load_pretrained(): throws one Error with all that does not fit, and then changes nothing.
Pretrained load_torch_weights(Module& module, const std::vector<NamedTensor>& tensors,
                              std::span<const TorchLayer> layers, const std::string& from);

}  // namespace lathe::layers
