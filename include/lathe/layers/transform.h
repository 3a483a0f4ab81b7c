#pragma once

#include <lathe/core/tensor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lathe::layers {

class Parameter;

/// In which order transforms of one tensor apply; at most one of each.
enum class Stage : std::uint8_t { prune = 1, cluster = 2, quantize = 3 };

std::string_view to_string(Stage stage);

/// Maps a tensor to the value a network computes with. It is attached to a Parameter or to what goes into or
/// out of a Module; then value() and forward passes give what `apply` makes of it, while the optimiser keeps
/// training the tensor behind it. Each preserves what earlier stages established: zeros stay zeros, equal
/// weights stay equal within a scale group.
class Transform {
 public:
  virtual ~Transform() = default;
  Transform() = default;
  Transform(const Transform&) = delete;
  Transform& operator=(const Transform&) = delete;

  virtual Stage stage() const = 0;
  /// Differentiable. The result has x's shape. In evaluation the same x gives the same result and nothing
  /// changes.
  virtual Tensor apply(const Tensor& x) = 0;

  /// Does each channel of the result never fall as that of x rises? Then a maximum may be taken before it.
  virtual bool keeps_order() const { return false; }

  /// What is trained with the network (centroids) and what is kept (masks, ranges), by name. Checkpoints hold
  /// both under the name of the parameter or module, "conv1.weight.mask".
  virtual std::vector<std::pair<std::string, Parameter*>> parameters() { return {}; }
  virtual std::vector<std::pair<std::string, Tensor*>> buffers() { return {}; }

  /// Modules pass their mode on to what is attached to them.
  void train(bool on) { training_ = on; }
  bool training() const { return training_; }

 private:
  bool training_ = true;
};

}  // namespace lathe::layers
