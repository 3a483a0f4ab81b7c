#include <lathe/core/autograd.h>
#include <lathe/layers/module.h>

#include <algorithm>

namespace lathe::layers {

std::string_view to_string(Stage stage) {
  switch (stage) {
    case Stage::prune:
      return "prune";
    case Stage::cluster:
      return "cluster";
    case Stage::quantize:
      return "quantize";
  }
  return "?";
}

Parameter::Parameter(Shape shape) : state_(std::make_shared<State>()) {
  state_->master = Tensor::zeros(shape);
  state_->master.set_requires_grad(true);
}

Tensor Parameter::value() const {
  if (!state_) return {};
  if (state_->frozen) return state_->frozen;
  Tensor value = state_->master;
  for (const auto& transform : state_->transforms) value = transform->apply(value);
  return value;
}

void Parameter::attach(std::shared_ptr<Transform> transform) {
  auto& transforms = state_->transforms;
  const auto after =
      std::ranges::lower_bound(transforms, transform->stage(), {}, [](const auto& t) { return t->stage(); });
  check(after == transforms.end() || (*after)->stage() != transform->stage(),
        "attach: the parameter has a transform of stage '{}' already", to_string(transform->stage()));
  transforms.insert(after, std::move(transform));
}

const std::vector<std::shared_ptr<Transform>>& Parameter::transforms() const {
  static const std::vector<std::shared_ptr<Transform>> kNone;
  return state_ ? state_->transforms : kNone;
}

void Parameter::bake(Stage stage) {
  const NoGrad no_grad;
  auto& transforms = state_->transforms;
  while (!transforms.empty() && transforms.front()->stage() <= stage) {
    transforms.front()->train(false);
    const Tensor value = transforms.front()->apply(state_->master);
    std::ranges::copy(value.span<float>(), state_->master.mutable_span<float>().begin());
    transforms.erase(transforms.begin());
  }
}

FrozenValues::FrozenValues(const Module& module) : parameters_(module.parameters()) {
  const NoGrad no_grad;
  std::vector<Tensor> values;
  for (const NamedParameter& named : parameters_) values.push_back(named.parameter.value());
  for (std::size_t i = 0; i < values.size(); ++i) parameters_[i].parameter.state_->frozen = values[i];
}

FrozenValues::~FrozenValues() {
  for (NamedParameter& named : parameters_) named.parameter.state_->frozen = {};
}

}  // namespace lathe::layers
