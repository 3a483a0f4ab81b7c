#pragma once

#include <lathe/layers/layers.h>

#include <cstdint>
#include <memory>

/// A small network of modules with what quantizers meet: batch norm and activations in every place, depthwise
/// layers, residuals, gates, concatenations, both kinds of pooling. The same seed gives the same network.
struct RandomModule {
  explicit RandomModule(std::uint64_t seed);

  lathe::Shape input;
  std::unique_ptr<lathe::layers::Sequential> model;
};
