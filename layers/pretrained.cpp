#include <lathe/base/half.h>
#include <lathe/layers/pretrained.h>

#include "misfits.h"
#include "torch_weights.h"

#include <fnmatch.h>

#include <algorithm>
#include <map>
#include <set>

namespace lathe::layers {
namespace {

bool below(const std::string& name, const std::string& path) {
  return !path.empty() && name.starts_with(path + ".");
}

}  // namespace

bool is_float(const Tensor& tensor) { return tensor.dtype() == Dtype::f32 || tensor.dtype() == Dtype::f16; }

void copy_values(const Tensor& from, std::span<float> to) {
  if (from.dtype() == Dtype::f32) {
    std::ranges::copy(from.span<float>(), to.begin());
    return;
  }
  const std::span<const std::byte> bytes = from.raw();
  for (std::size_t i = 0; i < to.size(); ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, bytes.data() + i * sizeof(bits), sizeof(bits));
    to[i] = half_to_float(bits);
  }
}

Pretrained load_pretrained(Module& module, const std::vector<NamedTensor>& tensors, const std::string& from,
                           const PretrainedOptions& options) {
  std::map<std::string_view, const Tensor*> given;
  for (const NamedTensor& named : tensors) given.emplace(named.name, &named.tensor);
  std::set<std::string_view> used;
  Misfits misfits;
  std::vector<std::pair<const Tensor*, Tensor>> copies;
  Pretrained result;
  for (const NamedTensor& own : weights(module)) {
    const std::string name = options.name ? options.name(own.name) : own.name;
    const auto found = name.empty() ? given.end() : given.find(name);
    const bool replaceable = name.empty() || below(own.name, options.head);
    if (found != given.end()) used.insert(found->first);
    if (found != given.end() && found->second->shape() == own.tensor.shape() && is_float(*found->second))
      copies.emplace_back(found->second, own.tensor);
    else if (replaceable)
      result.unchanged.push_back(own.name);
    else if (found == given.end())
      misfits.missing.push_back(name + " " + describe(own.tensor));
    else
      misfits.wrong.push_back(
          fmt::format("{} is {}, expected {}", name, describe(*found->second), describe(own.tensor)));
  }
  for (const NamedTensor& named : tensors)
    if (!used.contains(named.name)) misfits.extra.push_back(named.name + " " + describe(named.tensor));
  misfits.check_none(from);
  for (auto& [source, target] : copies) copy_values(*source, target.mutable_span<float>());
  result.loaded = copies.size();
  return result;
}

Pretrained load_pretrained(Module& module, std::string_view model, const std::vector<NamedTensor>& tensors,
                           const std::string& from) {
  if (const auto layers = torch_layers(model, tensors); !layers.empty())
    return load_torch_weights(module, tensors, layers, from);
  const auto holds = [&](std::string_view name) {
    return std::ranges::find(tensors, name, &NamedTensor::name) != tensors.end();
  };
  PretrainedOptions options{.head = "classifier"};
  // Files from elsewhere leave the normalisation to whoever reads the images.
  if (model == "mobilenet_v2" && !holds("normalize.mean"))
    options.name = [](const std::string& name) { return below(name, "normalize") ? std::string() : name; };
  return load_pretrained(module, tensors, from, options);
}

Pretrained load_pretrained(Module& module, std::string_view model, const std::filesystem::path& path) {
  return load_pretrained(module, model, load_safetensors(path).tensors, path.string());
}

std::vector<NamedParameter> match_parameters(const std::vector<NamedParameter>& parameters,
                                             const std::string& pattern, std::string_view method) {
  const auto matches = [&](const std::string& text) {
    return ::fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
  };
  std::vector<NamedParameter> result;
  std::string names;
  for (const NamedParameter& named : parameters) {
    names += (names.empty() ? "" : ", ") + named.name;
    if (matches(named.name) || matches(named.name.substr(0, named.name.rfind('.')))) result.push_back(named);
  }
  check(!result.empty(), "{}: '{}' matches no parameter; there are: {}", method, pattern, names);
  return result;
}

std::int64_t freeze(Module& module, const std::vector<std::string>& patterns) {
  const std::vector<NamedParameter> parameters = module.parameters();
  for (const std::string& pattern : patterns)
    for (NamedParameter& named : match_parameters(parameters, pattern, "freeze"))
      named.parameter.master().set_requires_grad(false);
  std::int64_t frozen = 0;
  for (const NamedParameter& named : parameters)
    if (!named.parameter.master().requires_grad()) frozen += named.parameter.master().size();
  return frozen;
}

std::vector<NamedParameter> trainable_parameters(const Module& module) {
  std::vector<NamedParameter> result = module.parameters();
  std::erase_if(result,
                [](const NamedParameter& named) { return !named.parameter.master().requires_grad(); });
  return result;
}

}  // namespace lathe::layers
