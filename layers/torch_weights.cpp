#include "torch_weights.h"

#include "misfits.h"

#include <cmath>
#include <map>
#include <optional>
#include <set>

namespace lathe::layers {
namespace {

constexpr double kFileEpsilon = 1e-5;  // of torchvision's and timm's batch norm
constexpr double kOwnEpsilon = 1e-3;   // of efficientnet_b0's

enum class Naming { torchvision, timm };

/// Repeats of the blocks of one row; their first convolution is missing where nothing is widened.
struct Row {
  int repeats;
  bool widens = true;
};

constexpr Row kMobileNetRows[] = {{1, false}, {2}, {3}, {4}, {3}, {3}, {1}};
constexpr Row kEfficientNetRows[] = {{1, false}, {2}, {2}, {3}, {3}, {4}, {1}};

std::string joined(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : path + "." + std::string(name);
}

/// The three convolutions of a block of timm, and their norms.
struct TimmBlock {
  std::string path;
  bool widens;
  std::string widen() const { return joined(path, "conv_pw"); }
  std::string filter() const { return joined(path, "conv_dw"); }
  std::string narrow() const { return joined(path, widens ? "conv_pwl" : "conv_pw"); }
  /// `index` among the convolutions that there are.
  std::string norm(int index) const { return joined(path, "bn" + std::to_string(index + 1)); }
};

std::vector<TorchLayer> mobilenet_v2_layers(Naming naming) {
  const bool timm = naming == Naming::timm;
  std::vector<TorchLayer> layers;
  const auto add = [&](const std::string& own, const std::string& timm_conv, const std::string& timm_norm,
                       const std::string& norm) {
    layers.push_back({own, "", timm ? timm_conv : own, timm ? timm_norm : norm});
  };
  add("features.0.0", "conv_stem", "bn1", "features.0.1");
  int block = 1;
  for (std::size_t row = 0; row < std::size(kMobileNetRows); ++row)
    for (int i = 0; i < kMobileNetRows[row].repeats; ++i, ++block) {
      const TimmBlock other{fmt::format("blocks.{}.{}", row, i), kMobileNetRows[row].widens};
      const std::string path = fmt::format("features.{}.conv", block);
      int part = 0;
      const auto wrapped = [&](const std::string& timm_conv) {
        const std::string own = fmt::format("{}.{}", path, part);
        add(own + ".0", timm_conv, other.norm(part), own + ".1");
        ++part;
      };
      if (other.widens) wrapped(other.widen());
      wrapped(other.filter());
      add(fmt::format("{}.{}", path, part), other.narrow(), other.norm(part),
          fmt::format("{}.{}", path, part + 1));
    }
  add("features.18.0", "conv_head", "bn2", "features.18.1");
  layers.push_back({"classifier.1", "", timm ? "classifier" : "classifier.1", "", true});
  return layers;
}

std::vector<TorchLayer> efficientnet_b0_layers(Naming naming) {
  const bool timm = naming == Naming::timm;
  std::vector<TorchLayer> layers;
  const auto add = [&](const std::string& own, const std::string& timm_conv, const std::string& timm_norm,
                       const std::string& path) {
    layers.push_back(
        {own + "_conv", own + "_bn", timm ? timm_conv : path + ".0", timm ? timm_norm : path + ".1"});
  };
  add("features.stem", "conv_stem", "bn1", "features.0");
  int block = 1;
  for (std::size_t row = 0; row < std::size(kEfficientNetRows); ++row)
    for (int i = 0; i < kEfficientNetRows[row].repeats; ++i, ++block) {
      const TimmBlock other{fmt::format("blocks.{}.{}", row, i), kEfficientNetRows[row].widens};
      const std::string path = fmt::format("features.{}.{}.block", row + 1, i);
      // All but the first block of a row are residuals.
      const std::string own = fmt::format("features.block{}{}.", block, i > 0 ? ".body" : "");
      int part = 0;
      const auto next = [&] { return fmt::format("{}.{}", path, part); };
      int norms = 0;
      if (other.widens) add(own + "expand", other.widen(), other.norm(norms++), next()), ++part;
      add(own + "depthwise", other.filter(), other.norm(norms++), next()), ++part;
      layers.push_back({own + "se.reduce", "", timm ? other.path + ".se.conv_reduce" : next() + ".fc1"});
      layers.push_back({own + "se.expand", "", timm ? other.path + ".se.conv_expand" : next() + ".fc2"});
      ++part;
      add(own + "project", other.narrow(), other.norm(norms), next());
    }
  add("features.top", "conv_head", "bn2", "features.8");
  layers.push_back({"", "", timm ? "classifier" : "classifier.1", "", true});
  return layers;
}

std::vector<float> floats(const Tensor& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.size()));
  copy_values(tensor, values);
  return values;
}

/// What is read out of the file for one tensor of the model.
struct Copy {
  Tensor to;
  std::vector<float> values;
};

class Loader {
 public:
  Loader(Module& module, const std::vector<NamedTensor>& tensors) {
    for (const NamedTensor& named : weights(module)) {
      own_.emplace(named.name, named.tensor);
      names_.push_back(named.name);
    }
    for (const NamedTensor& named : tensors) given_.emplace(named.name, &named.tensor);
  }

  void add(const TorchLayer& layer) {
    if (layer.own.empty()) {
      used_.insert({layer.file + ".weight", layer.file + ".bias"});
      return;
    }
    check(own_.contains(layer.own + ".weight"), "{}: the model has no layer {}", layer.file, layer.own);
    const Tensor& own = own_.at(layer.own + ".weight");
    if (layer.head && !fits_head(layer, own)) return;
    const Tensor* weight = take(layer.file + ".weight", file_shape(own, layer.head));
    const Shape channels{own.shape()[0]};
    if (layer.file_norm.empty()) {
      const Tensor* bias = take(layer.file + ".bias", channels);
      if (weight != nullptr) put(layer.own + ".weight", reordered(*weight, own.shape()));
      if (bias != nullptr) put(layer.own + ".bias", floats(*bias));
      return;
    }
    Norm norm;
    norm.gamma = take(layer.file_norm + ".weight", channels);
    norm.beta = take(layer.file_norm + ".bias", channels);
    norm.mean = take(layer.file_norm + ".running_mean", channels);
    norm.variance = take(layer.file_norm + ".running_var", channels);
    used_.insert(layer.file_norm + ".num_batches_tracked");
    if (weight == nullptr || !norm.whole()) return;
    if (layer.own_norm.empty())
      put_folded(layer.own, reordered(*weight, own.shape()), norm);
    else
      put_apart(layer, reordered(*weight, own.shape()), norm);
  }

  Pretrained finish(const std::string& from) {
    for (const auto& [name, tensor] : given_)
      if (!used_.contains(std::string(name)))
        misfits_.extra.push_back(fmt::format("{} {}", name, describe(*tensor)));
    misfits_.check_none(from);
    Pretrained result;
    for (auto& [name, copy] : copies_) std::ranges::copy(copy.values, copy.to.mutable_span<float>().begin());
    for (const std::string& name : names_)
      if (!copies_.contains(name)) result.unchanged.push_back(name);
    result.loaded = copies_.size();
    return result;
  }

 private:
  struct Norm {
    const Tensor *gamma = nullptr, *beta = nullptr, *mean = nullptr, *variance = nullptr;
    bool whole() const {
      return gamma != nullptr && beta != nullptr && mean != nullptr && variance != nullptr;
    }
  };

  /// [O,KH,KW,I] -> [O,I,KH,KW]; linear layers within the network are convolutions there.
  static Shape file_shape(const Tensor& own, bool head) {
    const Shape& shape = own.shape();
    if (shape.rank() == 4) return {shape[0], shape[3], shape[1], shape[2]};
    return head ? shape : Shape{shape[0], shape[1], 1, 1};
  }

  static std::vector<float> reordered(const Tensor& from, const Shape& to) {
    const std::vector<float> values = floats(from);
    if (to.rank() != 4) return values;
    std::vector<float> result(values.size());
    const auto pixels = static_cast<std::size_t>(to[1] * to[2]), inputs = static_cast<std::size_t>(to[3]);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::size_t output = i / (pixels * inputs), input = i / pixels % inputs, pixel = i % pixels;
      result[(output * pixels + pixel) * inputs + input] = values[i];
    }
    return result;
  }

  /// False when the head is for other classes: then it is used, and stays as it is.
  bool fits_head(const TorchLayer& layer, const Tensor& own) {
    used_.insert({layer.file + ".weight", layer.file + ".bias"});
    const auto found = given_.find(layer.file + ".weight");
    return found != given_.end() && found->second->shape() == own.shape() && is_float(*found->second);
  }

  const Tensor* take(const std::string& name, const Shape& shape) {
    const auto found = given_.find(name);
    if (found == given_.end()) {
      misfits_.missing.push_back(fmt::format("{} f32{}", name, to_string(shape)));
      return nullptr;
    }
    used_.insert(name);
    if (found->second->shape() == shape && is_float(*found->second)) return found->second;
    misfits_.wrong.push_back(
        fmt::format("{} is {}, expected f32{}", name, describe(*found->second), to_string(shape)));
    return nullptr;
  }

  void put(const std::string& name, std::vector<float> values) {
    copies_.insert_or_assign(name, Copy{own_.at(name), std::move(values)});
  }

  /// w * g and beta - mean * g, g = gamma / sqrt(variance + epsilon).
  void put_folded(const std::string& own, std::vector<float> weight, const Norm& norm) {
    const auto gamma = floats(*norm.gamma), mean = floats(*norm.mean), variance = floats(*norm.variance);
    std::vector<float> bias = floats(*norm.beta);
    const std::size_t taps = weight.size() / bias.size();
    for (std::size_t c = 0; c < bias.size(); ++c) {
      const double factor =
          static_cast<double>(gamma[c]) / std::sqrt(static_cast<double>(variance[c]) + kFileEpsilon);
      for (std::size_t i = c * taps; i < (c + 1) * taps; ++i)
        weight[i] = static_cast<float>(static_cast<double>(weight[i]) * factor);
      bias[c] = static_cast<float>(static_cast<double>(bias[c]) - static_cast<double>(mean[c]) * factor);
    }
    put(own + ".weight", std::move(weight));
    put(own + ".bias", std::move(bias));
  }

  /// With the model's epsilon gamma gives the same outputs.
  void put_apart(const TorchLayer& layer, std::vector<float> weight, const Norm& norm) {
    std::vector<float> gamma = floats(*norm.gamma), variance = floats(*norm.variance);
    for (std::size_t c = 0; c < gamma.size(); ++c) {
      const double v = static_cast<double>(variance[c]);
      gamma[c] = static_cast<float>(static_cast<double>(gamma[c]) *
                                    std::sqrt((v + kOwnEpsilon) / (v + kFileEpsilon)));
    }
    put(layer.own + ".weight", std::move(weight));
    put(layer.own_norm + ".gamma", std::move(gamma));
    put(layer.own_norm + ".beta", floats(*norm.beta));
    put(layer.own_norm + ".moving_mean", floats(*norm.mean));
    put(layer.own_norm + ".moving_variance", std::move(variance));
  }

  std::map<std::string, Tensor> own_;
  std::vector<std::string> names_;  ///< of own_, in the model's order
  std::map<std::string, const Tensor*, std::less<>> given_;
  std::set<std::string> used_;
  std::map<std::string, Copy> copies_;
  Misfits misfits_;
};

}  // namespace

std::vector<TorchLayer> torch_layers(std::string_view model, const std::vector<NamedTensor>& tensors) {
  std::optional<Naming> naming;
  for (const NamedTensor& named : tensors) {
    if (named.name == "features.0.1.running_mean") naming = Naming::torchvision;
    if (named.name == "conv_stem.weight") naming = Naming::timm;
  }
  if (!naming) return {};
  if (model == "mobilenet_v2") return mobilenet_v2_layers(*naming);
  if (model == "efficientnet_b0") return efficientnet_b0_layers(*naming);
  return {};
}

Pretrained load_torch_weights(Module& module, const std::vector<NamedTensor>& tensors,
                              std::span<const TorchLayer> layers, const std::string& from) {
  Loader loader(module, tensors);
  for (const TorchLayer& layer : layers) loader.add(layer);
  return loader.finish(from);
}

}  // namespace lathe::layers
