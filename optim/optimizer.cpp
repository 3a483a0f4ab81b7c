#include <lathe/base/error.h>
#include <lathe/base/parallel.h>
#include <lathe/layers/pretrained.h>
#include <lathe/optim/optimizer.h>

#include "kernels/dispatch.h"
#include "spread.h"

#include <cmath>
#include <cstring>
#include <map>
#include <set>
#include <string_view>

namespace lathe::optim {
namespace {

/// Elements that are worth a thread: about ten times as long as waking one takes.
constexpr std::int64_t kGrain = 8192;

std::vector<std::string> moments_of(const Sgd::Options& options) {
  return options.momentum > 0 ? std::vector<std::string>{"v"} : std::vector<std::string>{};
}

void check_share(std::string_view optimizer, std::string_view option, float value) {
  check(value >= 0 && value < 1, "{}: {} is {}, expected 0 <= {} < 1", optimizer, option, value, option);
}

void check_decay(std::string_view optimizer, float value) {
  check(std::isfinite(value) && value >= 0, "{}: weight_decay is {}, expected a finite number >= 0",
        optimizer, value);
}

void check_epsilon(std::string_view optimizer, float value) {
  check(std::isfinite(value) && value > 0, "{}: epsilon is {}, expected a finite number > 0", optimizer,
        value);
}

}  // namespace

Optimizer::Optimizer(std::vector<layers::NamedParameter> parameters, float learning_rate,
                     std::vector<std::string> moments)
    : parameters_(std::move(parameters)), moment_names_(std::move(moments)) {
  check(!parameters_.empty(), "optimizer: there are no parameters");
  std::set<std::string_view> names;
  std::map<const Tensor::Gradient*, std::string_view> tensors;
  for (const auto& [name, parameter] : parameters_) {
    check(static_cast<bool>(parameter), "optimizer: parameter '{}' is empty", name);
    check(names.insert(name).second, "optimizer: two parameters are named '{}'", name);
    check(parameter.master().requires_grad(), "optimizer: parameter '{}' does not require a gradient", name);
    const auto [other, fresh] = tensors.emplace(parameter.master().gradient().get(), name);
    check(fresh, "optimizer: parameters '{}' and '{}' are the same tensor", other->second, name);
  }
  set_learning_rate(learning_rate);
  rate_factors_.assign(parameters_.size(), 1);
  for (std::size_t i = 0; i < moment_names_.size(); ++i) {
    std::vector<Tensor>& tensors_of_moment = moments_.emplace_back();
    for (const auto& named : parameters_)
      tensors_of_moment.push_back(Tensor::zeros(named.parameter.master().shape()));
  }
}

void Optimizer::set_learning_rate(float learning_rate) {
  check(std::isfinite(learning_rate) && learning_rate >= 0,
        "optimizer: the learning rate is {}, expected a finite number >= 0", learning_rate);
  learning_rate_ = learning_rate;
}

void Optimizer::scale_learning_rate(const std::string& pattern, float factor) {
  check(std::isfinite(factor) && factor >= 0,
        "optimizer: '{}' at {} times the learning rate, expected a finite number >= 0", pattern, factor);
  std::set<std::string> names;
  for (const auto& named : layers::match_parameters(parameters_, pattern, "learning rate"))
    names.insert(named.name);
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (names.contains(parameters_[i].name)) rate_factors_[i] = factor;
  rate_scales_ += fmt::format(", {} at {} of the rate", pattern, factor);
}

std::string Optimizer::description() const {
  return fmt::format("{}({}){}", type(), options(), rate_scales_);
}

void Optimizer::step() {
  std::vector<Slice> whole;
  Spread spread;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    Tensor& value = parameters_[i].parameter.master();
    const Tensor grad = value.grad();
    if (!grad) continue;
    Slice slice{value.mutable_span<float>().data(),
                grad.span<float>().data(),
                {},
                value.size(),
                learning_rate_ * rate_factors_[i]};
    for (std::size_t k = 0; k < moments_.size(); ++k)
      slice.moment[k] = moments_[k][i].mutable_span<float>().data();
    spread.add(slice.size);
    whole.push_back(slice);
  }
  check(!whole.empty(), "{}: no parameter has a gradient, step() comes after backward()", type());
  ++steps_;
  parallel_for(spread.total(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    spread.pieces(begin, end, [&](std::size_t parameter, std::int64_t first, std::int64_t size) {
      Slice slice = whole[parameter];
      slice.value += first;
      slice.grad += first;
      for (std::size_t k = 0; k < moments_.size(); ++k) slice.moment[k] += first;
      slice.size = size;
      update(slice);
    });
  });
}

void Optimizer::clear_grads() {
  for (auto& named : parameters_) named.parameter.master().clear_grad();
}

std::vector<layers::NamedTensor> Optimizer::state() const {
  std::vector<layers::NamedTensor> result;
  for (std::size_t k = 0; k < moments_.size(); ++k)
    for (std::size_t i = 0; i < parameters_.size(); ++i)
      result.push_back({type() + "." + moment_names_[k] + "." + parameters_[i].name, moments_[k][i]});
  return result;
}

void Optimizer::restore(const std::vector<layers::NamedTensor>& given, std::int64_t steps) {
  check(steps >= 0, "{}: cannot restore: {} steps", type(), steps);
  std::map<std::string_view, const Tensor*> by_name;
  for (const auto& [name, tensor] : given)
    check(by_name.emplace(name, &tensor).second, "{}: cannot restore: '{}' is given twice", type(), name);
  std::vector<layers::NamedTensor> own = state();
  for (const auto& [name, tensor] : own) {
    const auto found = by_name.find(name);
    check(found != by_name.end(), "{}: cannot restore: '{}' is missing", type(), name);
    const Tensor& other = *found->second;
    check(other && other.dtype() == Dtype::f32, "{}: cannot restore: '{}' is not f32", type(), name);
    check(other.shape() == tensor.shape(), "{}: cannot restore: '{}' has shape {}, expected {}", type(), name,
          to_string(other.shape()), to_string(tensor.shape()));
  }
  std::set<std::string_view> names;
  for (const auto& named : own) names.insert(named.name);
  for (const auto& named : given)
    check(names.contains(named.name), "{}: cannot restore: '{}' is not part of its state", type(),
          named.name);
  for (auto& [name, tensor] : own) std::ranges::copy(by_name[name]->raw(), tensor.mutable_raw().begin());
  steps_ = steps;
}

Sgd::Sgd(std::vector<layers::NamedParameter> parameters, const Options& options)
    : Optimizer(std::move(parameters), options.learning_rate, moments_of(options)), options_(options) {
  check_share("sgd", "momentum", options.momentum);
  check_decay("sgd", options.weight_decay);
  check(!options.nesterov || options.momentum > 0, "sgd: nesterov needs a momentum > 0");
}

std::string Sgd::options() const {
  return fmt::format("momentum={}, nesterov={}, weight_decay={}", options_.momentum, options_.nesterov,
                     options_.weight_decay);
}

void Sgd::update(const Slice& slice) const {
  const kernels::SgdFactors factors{slice.learning_rate, options_.momentum, options_.weight_decay,
                                    options_.nesterov};
  if (options_.momentum > 0)
    kernels::best().momentum(factors, slice.value, slice.grad, slice.moment[0], slice.size);
  else
    kernels::best().sgd(factors, slice.value, slice.grad, slice.size);
}

Adam::Adam(std::vector<layers::NamedParameter> parameters, const Options& options)
    : Adam(std::move(parameters), options, false) {}

Adam::Adam(std::vector<layers::NamedParameter> parameters, const Options& options, bool decoupled)
    : Optimizer(std::move(parameters), options.learning_rate, {"m", "v"}),
      options_(options),
      decoupled_(decoupled) {
  const std::string name = type();
  check_share(name, "beta1", options.beta1);
  check_share(name, "beta2", options.beta2);
  check_epsilon(name, options.epsilon);
  check_decay(name, options.weight_decay);
}

std::string Adam::options() const {
  return fmt::format("beta1={}, beta2={}, epsilon={}, weight_decay={}", options_.beta1, options_.beta2,
                     options_.epsilon, options_.weight_decay);
}

void Adam::update(const Slice& slice) const {
  const double beta1 = options_.beta1, beta2 = options_.beta2, rate = slice.learning_rate;
  const auto t = static_cast<double>(steps());
  const double corrected = rate * std::sqrt(1 - std::pow(beta2, t)) / (1 - std::pow(beta1, t));
  const kernels::AdamFactors factors{
      .rate = static_cast<float>(corrected),
      .one_minus_beta1 = static_cast<float>(1 - beta1),
      .one_minus_beta2 = static_cast<float>(1 - beta2),
      .epsilon = options_.epsilon,
      .decay = decoupled_ ? 0 : options_.weight_decay,
      .keep = decoupled_ ? static_cast<float>(1 - rate * options_.weight_decay) : 1,
  };
  kernels::best().adam(factors, slice.value, slice.grad, slice.moment[0], slice.moment[1], slice.size);
}

RmsProp::RmsProp(std::vector<layers::NamedParameter> parameters, const Options& options)
    : Optimizer(std::move(parameters), options.learning_rate, {"v"}), options_(options) {
  check_share("rmsprop", "rho", options.rho);
  check_epsilon("rmsprop", options.epsilon);
  check_decay("rmsprop", options.weight_decay);
}

std::string RmsProp::options() const {
  return fmt::format("rho={}, epsilon={}, weight_decay={}", options_.rho, options_.epsilon,
                     options_.weight_decay);
}

void RmsProp::update(const Slice& slice) const {
  const kernels::RmsPropFactors factors{
      .rate = slice.learning_rate,
      .one_minus_rho = static_cast<float>(1 - double{options_.rho}),
      .epsilon = options_.epsilon,
      .decay = options_.weight_decay,
  };
  kernels::best().rms_prop(factors, slice.value, slice.grad, slice.moment[0], slice.size);
}

float clip_grad_norm(const std::vector<layers::NamedParameter>& parameters, float max_norm) {
  check(std::isfinite(max_norm) && max_norm > 0,
        "clip_grad_norm: max_norm is {}, expected a finite number > 0", max_norm);
  std::vector<Tensor> grads;
  Spread spread;
  for (const auto& named : parameters)
    if (Tensor grad = named.parameter.master().grad()) {
      spread.add(grad.size());
      grads.push_back(std::move(grad));
    }

  // One sum a block, added in order: the norm is the same for any number of threads.
  const std::int64_t blocks = (spread.total() + kGrain - 1) / kGrain;
  std::vector<double> sums(static_cast<std::size_t>(blocks));
  parallel_for(blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block)
      spread.pieces(block * kGrain, std::min(spread.total(), (block + 1) * kGrain),
                    [&](std::size_t i, std::int64_t first, std::int64_t size) {
                      sums[static_cast<std::size_t>(block)] +=
                          kernels::best().sum_of_squares(grads[i].span<float>().data() + first, size);
                    });
  });
  double sum = 0;
  for (double part : sums) sum += part;
  const double norm = std::sqrt(sum);
  if (!std::isfinite(norm) || norm <= max_norm) return static_cast<float>(norm);

  const auto factor = static_cast<float>(max_norm / norm);
  parallel_for(spread.total(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    spread.pieces(begin, end, [&](std::size_t i, std::int64_t first, std::int64_t size) {
      kernels::best().scale(grads[i].mutable_span<float>().data() + first, factor, size);
    });
  });
  return static_cast<float>(norm);
}

}  // namespace lathe::optim
