#pragma once

#include <lathe/layers/layers.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace lathe::layers {

/// A network that comes with lathe.
struct ModelInfo {
  std::string_view name;
  std::string_view about;
  Shape input;  ///< of one image, [1,H,W,C]
  int classes;
  std::unique_ptr<Module> (*make)();
};

/// Those for digits, then those for photos, made for two classes (image_models.h: for any number).
std::span<const ModelInfo> models();

/// Throws Error with the list of names when there is none of this name.
const ModelInfo& find_model(std::string_view name);

}  // namespace lathe::layers
