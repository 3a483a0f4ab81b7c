#include <lathe/core/autograd.h>
#include <lathe/core/trace.h>
#include <lathe/layers/module.h>

#include "forward_observer.h"

#include <functional>

namespace lathe::layers {
namespace detail {
namespace {

thread_local ForwardObserver* observer = nullptr;

}  // namespace

ForwardObserver::ForwardObserver(std::function<void(const Module&, const Tensor&)> see)
    : see_(std::move(see)), before_(std::exchange(observer, this)) {}
ForwardObserver::~ForwardObserver() { observer = before_; }

bool ForwardObserver::watching() { return observer != nullptr; }

void ForwardObserver::report(const Module& module, const Tensor& output) {
  if (observer) observer->see_(module, output);
}

}  // namespace detail

namespace {

/// An Error that names the innermost module it came from: the modules around it let it pass.
class ModuleError : public Error {
 public:
  using Error::Error;
};

template <typename Entries>
void check_name(const Entries& entries, std::string_view kind, const std::string& name) {
  check(!name.empty() && name.find('.') == std::string::npos, "module: {} name '{}' is empty or has a dot",
        kind, name);
  for (const auto& entry : entries)
    check(entry.first != name, "module: there is a {} named '{}' already", kind, name);
}

std::string join(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

/// Calls visit(path, module) for a module and all below it, parents first.
template <typename M, typename Children, typename Visit>
void walk(M& module, const std::string& path, const Children& children_of, const Visit& visit) {
  visit(path, module);
  for (const auto& [name, child] : children_of(module)) walk(*child, join(path, name), children_of, visit);
}

}  // namespace

Tensor Module::operator()(const Tensor& x) {
  return call([&] { return forward(transformed(x)); });
}

Tensor Module::call(FunctionRef<Tensor()> body) {
  const NameScope scope(name_);
  try {
    Tensor output = body();
    if (output_transform_) output = output_transform_->apply(output);
    detail::ForwardObserver::report(*this, output);
    return output;
  } catch (const ModuleError&) {
    throw;
  } catch (const Error& error) {
    const std::string path = NameScope::path();
    if (path.empty()) throw;
    throw ModuleError(path + ": " + error.what());
  }
}

void Module::reset(const Rng& rng) {
  for (const auto& [path, module] : modules()) module->reset_own(path.empty() ? rng : rng.split(path));
}

void Module::train(bool on) {
  for (const auto& [path, module] : modules()) {
    module->training_ = on;
    for (const auto& [name, transform] : module->transforms()) transform->train(on);
  }
}

EvalMode::EvalMode(Module& module) {
  for (const auto& [path, part] : module.modules()) modes_.emplace_back(part, part->training());
  module.eval();
}

EvalMode::~EvalMode() {
  // Parents come first, so that their children have the last word.
  for (const auto& [module, training] : modes_) module->train(training);
}

void Module::set_input_transform(std::shared_ptr<Transform> transform) {
  input_transform_ = std::move(transform);
  if (input_transform_) input_transform_->train(training_);
}

void Module::set_output_transform(std::shared_ptr<Transform> transform) {
  output_transform_ = std::move(transform);
  if (output_transform_) output_transform_->train(training_);
}

std::vector<std::pair<std::string, Transform*>> Module::transforms() const {
  std::vector<std::pair<std::string, Transform*>> result;
  for (const auto& [name, parameter] : parameters_)
    for (const auto& transform : parameter->transforms()) result.emplace_back(name, transform.get());
  if (input_transform_) result.emplace_back("input", input_transform_.get());
  if (output_transform_) result.emplace_back("output", output_transform_.get());
  return result;
}

std::vector<std::pair<std::string, Module*>> Module::modules() {
  std::vector<std::pair<std::string, Module*>> result;
  walk(
      *this, "", [](Module & m) -> auto& { return m.children_; },
      [&](const std::string& path, Module& module) { result.emplace_back(path, &module); });
  return result;
}

std::vector<NamedParameter> Module::parameters() const {
  std::vector<NamedParameter> result;
  walk(
      *this, "", [](const Module& m) -> auto& { return m.children_; },
      [&](const std::string& path, const Module& module) {
        for (const auto& [name, parameter] : module.parameters_)
          result.push_back({join(path, name), *parameter});
        for (const auto& [owner, transform] : module.transforms())
          for (const auto& [name, parameter] : transform->parameters())
            result.push_back({join(path, owner) + "." + name, *parameter});
      });
  return result;
}

std::vector<NamedTensor> Module::buffers() const {
  std::vector<NamedTensor> result;
  walk(
      *this, "", [](const Module& m) -> auto& { return m.children_; },
      [&](const std::string& path, const Module& module) {
        for (const auto& [name, buffer] : module.buffers_) result.push_back({join(path, name), *buffer});
        for (const auto& [owner, transform] : module.transforms())
          for (const auto& [name, buffer] : transform->buffers())
            result.push_back({join(path, owner) + "." + name, *buffer});
      });
  return result;
}

std::vector<std::pair<std::string, Rng*>> Module::rngs() const {
  std::vector<std::pair<std::string, Rng*>> result;
  walk(
      *this, "", [](const Module& m) -> auto& { return m.children_; },
      [&](const std::string& path, const Module& module) {
        for (const auto& [name, rng] : module.rngs_) result.emplace_back(join(path, name), rng);
      });
  return result;
}

void Module::clear_grads() {
  for (NamedParameter& parameter : parameters()) parameter.parameter.master().clear_grad();
}

void Module::register_parameter(std::string name, Parameter& parameter) {
  check_name(parameters_, "parameter", name);
  parameters_.emplace_back(std::move(name), &parameter);
}

void Module::register_buffer(std::string name, Tensor& buffer) {
  check_name(buffers_, "buffer", name);
  buffers_.emplace_back(std::move(name), &buffer);
}

void Module::register_rng(std::string name, Rng& rng) {
  check_name(rngs_, "random state", name);
  rngs_.emplace_back(std::move(name), &rng);
}

void Module::register_module(std::string name, Module& module) {
  check_name(children_, "module", name);
  module.name_ = name;
  children_.emplace_back(std::move(name), &module);
}

ParameterTotals count_parameters(const Module& module) {
  ParameterTotals totals;
  module.visit_own([&](const Tensor& tensor, bool trainable) {
    totals.all += tensor.size();
    if (trainable) totals.trainable += tensor.size();
  });
  return totals;
}

void Module::visit_own(FunctionRef<void(const Tensor&, bool trainable)> visit) const {
  walk(
      *this, "", [](const Module& m) -> auto& { return m.children_; },
      [&](const std::string&, const Module& module) {
        for (const auto& [name, parameter] : module.parameters_) visit(parameter->master(), true);
        for (const auto& [name, buffer] : module.buffers_) visit(*buffer, false);
      });
}

}  // namespace lathe::layers
