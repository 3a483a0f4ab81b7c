#pragma once

#include <lathe/layers/checkpoint.h>

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::layers {

/// How tensors of a file from elsewhere become those of a module.
struct PretrainedOptions {
  /// The file's name for a tensor of the module ("features.0.0.weight"); empty: the file has none, and the
  /// tensor stays as it is. Unset: the same names.
  std::function<std::string(const std::string& name)> name = {};
  /// The part of the module, by its path, that may stay as it is when the file's has other shapes or is
  /// missing: the head, when the classes are others. Empty: none.
  std::string head = {};
};

/// What load_pretrained() did.
struct Pretrained {
  std::size_t loaded = 0;              ///< tensors
  std::vector<std::string> unchanged;  ///< tensors of the module that stayed as they were
};

/// Copies tensors, f32 or f16, into a module. Throws Error that lists all tensors that are missing, that the
/// module has no use for, or that have a wrong shape or type, and then changes nothing. `from` stands in
/// front of it.
Pretrained load_pretrained(Module& module, const std::vector<NamedTensor>& tensors, const std::string& from,
                           const PretrainedOptions& options = {});

/// Reads tensors into a bundled model (models.h): its own weights, and for mobilenet_v2 and efficientnet_b0 those
/// with torchvision's or timm's names and shapes ([O,I,H,W]), whose batch norm, epsilon 1e-5, is folded or
/// given the model's epsilon. The head stays as it is when theirs is for other classes; that of
/// efficientnet_b0 is its own, and another is not read.
Pretrained load_pretrained(Module& module, std::string_view model, const std::vector<NamedTensor>& tensors,
                           const std::string& from);
/// The same out of a safetensors file.
Pretrained load_pretrained(Module& module, std::string_view model, const std::filesystem::path& path);

/// Those whose name or layer matches a glob (fnmatch(3), dots are no borders: "features.*"). Throws Error,
/// with `method` in front, when there is none.
std::vector<NamedParameter> match_parameters(const std::vector<NamedParameter>& parameters,
                                             const std::string& pattern, std::string_view method);

/// Switches off the gradients of all parameters that match_parameters() finds for one of these patterns.
/// Returns how many elements are frozen.
std::int64_t freeze(Module& module, const std::vector<std::string>& patterns);

/// The parameters that are not frozen: those an optimiser takes.
std::vector<NamedParameter> trainable_parameters(const Module& module);

}  // namespace lathe::layers
