#pragma once

#include <lathe/layers/module.h>

namespace lathe::compress {

/// Writes what the transforms of the weights make of them, up to and including stage `up_to`, into the
/// weights, and takes the transforms off: the model computes the same bits in evaluation, and masks and
/// centroids are gone from its parameters and buffers. Always a prefix of the stages: those above stay, and
/// zeros and equal weights stay as they are.
///
/// What is attached to inputs and outputs of layers (activation quantizers) stays: the export needs it.
/// Optimisers built before hold parameters that are gone; build a new one to train on.
void strip(layers::Module& model, layers::Stage up_to = layers::Stage::quantize);

}  // namespace lathe::compress
