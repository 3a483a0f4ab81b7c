#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace lathe::experiments {

/// What others have published, to stand beside what is measured here. Both studies on MNIST used TensorFlow,
/// its Model Optimization Toolkit and TFLite; their machines are not known, so their times show a scale and
/// are never divided by ours.

/// A row of the grid of nine experiments (10 epochs, batch 128, seed 0; one latency run each).
struct PublishedCell {
  std::string_view base, kind;
  double accuracy = 0;  ///< of the training module, share
  double params = 0, sparsity = 0;
  double float_bytes = 0, dynamic_bytes = 0, int8_bytes = 0;
  double int8_accuracy = 0;
  double float_ms = 0, dynamic_ms = 0, int8_ms = 0;
  std::string_view note;  ///< what has to be known to compare it
};
std::span<const PublishedCell> published_grid();
/// Null when there is no such row.
const PublishedCell* find_published(std::string_view base, std::string_view kind);

/// An entry of the table of optimisations by methods (the `tutorial` model, 5 epochs for every stage, batch
/// 128).
struct PublishedMethod {
  std::string_view optimisation;  ///< none, prune, quantize, cluster, cluster_qat, ...
  std::string_view method;        ///< checkpoint, fp32, fp16, dynamic, uint8, int16x8
  double accuracy = 0;            ///< share
  double total_ms = 0;            ///< for the 10,000 test images
  double kilobytes = 0;           ///< of 1,024 bytes
};
std::span<const PublishedMethod> published_methods();
/// Null when there is no such entry (int16x8 on top of quantization-aware training was refused).
const PublishedMethod* find_published_method(std::string_view optimisation, std::string_view method);

/// A row of the table of what quantization gains on large networks, of TensorFlow Lite's guide to model
/// optimization: ImageNet, one big core of a Pixel 2. MB are millions of bytes.
struct PublishedNetwork {
  std::string_view model;
  double accuracy = 0, int8_accuracy = 0;      ///< share; int8: after training
  double ms = 0, int8_ms = 0;                  ///< latency of an image
  double megabytes = 0, int8_megabytes = 0;    ///< of the file
  std::optional<double> qat_accuracy, qat_ms;  ///< int8 with quantization-aware training
};
std::span<const PublishedNetwork> published_networks();
/// Null when there is no such row.
const PublishedNetwork* find_published_network(std::string_view model);

}  // namespace lathe::experiments
