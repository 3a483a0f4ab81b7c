#include <lathe/compress/cluster.h>

#include "quantizers.h"

#include <lathe/base/error.h>
#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace lathe::compress {
namespace {

constexpr std::array<std::string_view, 2> kClusterable = {"Conv2d", "Linear"};

bool all_finite(const Tensor& tensor) {
  return std::ranges::all_of(tensor.span<float>(), [](float x) { return std::isfinite(x); });
}

bool has_zeros(std::span<const float> values) { return std::ranges::count(values, 0.0f) > 0; }

std::vector<float> unique_values(std::span<const float> values) {
  std::vector<float> result(values.begin(), values.end());
  std::ranges::sort(result);
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

/// What the transforms before the clustering make of the weight.
Tensor before_clustering(const layers::Parameter& parameter) {
  const NoGrad no_grad;
  Tensor value = parameter.master();
  for (const auto& transform : parameter.transforms())
    if (transform->stage() < layers::Stage::cluster) value = transform->apply(value);
  return value;
}

/// Elements that share a codebook.
std::int64_t elements_per_codebook(const Shape& weight, bool per_channel) {
  return per_channel ? weight.size() / weight[0] : weight.size();
}

void attach(SelectedWeight& weight, const std::shared_ptr<Codebook>& codebook) {
  codebook->train(weight.layer->training());
  weight.parameter.attach(codebook);
  share_scale_of_codebook(weight.parameter);
}

std::vector<SelectedWeight> select_unclustered(layers::Module& model, const Selection& selection,
                                               std::string_view method) {
  std::vector<SelectedWeight> weights = select_weights(model, selection, method, kClusterable);
  check_free(weights, layers::Stage::cluster, method);
  for (const SelectedWeight& weight : weights)
    check(all_finite(weight.parameter.master()), "{}: {} has a value that is not finite", method,
          weight.name);
  return weights;
}

/// [K] or [C,K] with the different values of the tensor or of each channel; empty, with the reason, when that
/// is no clustering.
Tensor centroids_of(const Tensor& weight, const UniqueOptions& options, std::string& reason) {
  const std::span<const float> all = weight.span<float>();
  const bool zero_first = has_zeros(all);
  const auto size = static_cast<std::size_t>(elements_per_codebook(weight.shape(), options.per_channel));
  std::vector<std::vector<float>> rows;
  std::size_t most = 0;
  for (std::size_t start = 0; start < all.size(); start += size) {
    std::vector<float> values = unique_values(all.subspan(start, size));
    if (zero_first) {
      std::erase(values, 0.0f);
      values.insert(values.begin(), 0.0f);
    }
    most = std::max(most, values.size());
    rows.push_back(std::move(values));
  }
  if (most > static_cast<std::size_t>(options.most))
    reason = fmt::format("has {} different values, more than {}", most, options.most);
  else if (most == 1)
    reason = "has one value only";
  if (!reason.empty()) return {};
  std::vector<float> table;
  for (std::vector<float>& row : rows) {
    row.resize(most, row.back());  // repeats: the first of equal centroids is the one that is used
    table.insert(table.end(), row.begin(), row.end());
  }
  const auto k = static_cast<std::int64_t>(most);
  return Tensor::from(std::span<const float>(table),
                      options.per_channel ? Shape{weight.shape()[0], k} : Shape{k});
}

}  // namespace

Codebook::Codebook(const Tensor& weight, bool per_channel, const Options& options)
    : options_(options),
      centroids_(per_channel ? Shape{weight.shape()[0], options.centroids.clusters}
                             : Shape{options.centroids.clusters}) {
  if (options.centroids.zero_first) nonzero_ = Tensor::full(weight.shape(), 1);
  if (options.starts_later)
    active_ = Tensor::zeros({1}, Dtype::i32);
  else
    initialise(weight);
}

Codebook::Codebook(const Tensor& weight, Tensor centroids, const Options& options)
    : options_(options), centroids_(centroids.shape()) {
  std::ranges::copy(centroids.span<float>(), centroids_.master().mutable_span<float>().begin());
  if (options.centroids.zero_first) {
    nonzero_ = Tensor::full(weight.shape(), 1);
    remember_zeros(weight);
  }
}

bool Codebook::active() const { return !active_ || active_.span<std::int32_t>()[0] != 0; }

Tensor Codebook::apply(const Tensor& x) {
  if (pass_through_) return x;
  const bool begins = training() && std::exchange(start_, false);
  const bool reseeds = training() && std::exchange(reseed_, false) && !begins;
  if (begins) {
    initialise(x);
    if (active_) active_.mutable_span<std::int32_t>()[0] = 1;
  }
  if (!active()) return x;
  const Tensor kept = nonzero_ ? apply_mask(x, nonzero_) : x;
  if (reseeds) fill_empty(kept);
  return cluster_lookup(
      kept, centroids_.master(),
      {.average = options_.aggregation == Aggregation::average, .zero_first = options_.centroids.zero_first});
}

std::vector<std::pair<std::string, layers::Parameter*>> Codebook::parameters() {
  return {{"centroids", &centroids_}};
}

std::vector<std::pair<std::string, Tensor*>> Codebook::buffers() {
  std::vector<std::pair<std::string, Tensor*>> result;
  if (nonzero_) result.emplace_back("nonzero", &nonzero_);
  if (active_) result.emplace_back("clustered", &active_);
  return result;
}

void Codebook::initialise(const Tensor& x) {
  const std::span<const float> weights = x.span<float>();
  const std::span<float> centroids = centroids_.master().mutable_span<float>();
  const auto k = static_cast<std::size_t>(options_.centroids.clusters);
  const std::size_t books = centroids.size() / k, size = weights.size() / books;
  for (std::size_t b = 0; b < books; ++b)
    std::ranges::copy(initial_centroids(weights.subspan(b * size, size), options_.centroids),
                      centroids.subspan(b * k, k).begin());
  if (nonzero_) remember_zeros(x);
}

void Codebook::remember_zeros(const Tensor& x) {
  std::ranges::transform(x.span<float>(), nonzero_.mutable_span<float>().begin(),
                         [](float w) { return w != 0 ? 1.0f : 0.0f; });
}

void Codebook::fill_empty(const Tensor& x) {
  const std::span<const float> weights = x.span<float>();
  const std::span<float> centroids = centroids_.master().mutable_span<float>();
  const auto k = static_cast<std::size_t>(centroids_.master().shape()[-1]);
  const std::size_t books = centroids.size() / k, size = weights.size() / books;
  std::vector<std::int32_t> assignment(size);
  for (std::size_t b = 0; b < books; ++b) {
    const auto part = weights.subspan(b * size, size);
    const auto book = centroids.subspan(b * k, k);
    assign_nearest(part, book, assignment);
    reseed_empty(part, book, assignment, options_.centroids.zero_first);
  }
}

Clustering::Clustering(std::vector<ClusteredWeight> weights, std::vector<LeftOut> left_out,
                       ClusterOptions options)
    : weights_(std::move(weights)), left_out_(std::move(left_out)), options_(std::move(options)) {}

void Clustering::update(std::int64_t step) {
  const std::int64_t since = step - options_.begin;
  if (since < 0) return;
  for (const ClusteredWeight& weight : weights_) {
    if (!weight.codebook->active())
      weight.codebook->start();
    else if (since > 0 && options_.reseed_every > 0 && since % options_.reseed_every == 0)
      weight.codebook->reseed();
  }
}

void Clustering::step_begin(optim::TrainState& state) {
  update(state.step);
  state.eligible = state.eligible && state.step >= options_.begin;
}

void Clustering::epoch_begin(optim::TrainState& state) {
  // A resumed run may have nothing left of its epoch but the evaluation: then the step before counts.
  state.eligible = state.eligible && (options_.begin == 0 || state.step - 1 >= options_.begin);
}

std::unique_ptr<Clustering> cluster(layers::Module& model, const ClusterOptions& options) {
  const int least = options.preserve_sparsity ? 3 : 2;
  check(options.clusters >= least && options.clusters <= 65536,
        "cluster: {} clusters, expected {} to 65536{}", options.clusters, least,
        options.preserve_sparsity ? " with preserve_sparsity" : "");
  check(options.begin >= 0, "cluster: begin is {}, expected at least 0", options.begin);
  check(options.reseed_every >= 0, "cluster: reseed_every is {}, expected at least 0", options.reseed_every);
  std::vector<SelectedWeight> selected = select_unclustered(model, options.layers, "cluster");

  std::vector<LeftOut> left_out;
  std::erase_if(selected, [&](const SelectedWeight& weight) {
    const Shape& shape = weight.parameter.master().shape();
    const bool per_channel = options.per_channel && shape.rank() > 2;
    const std::int64_t elements = elements_per_codebook(shape, per_channel);
    if (elements > options.clusters) return false;
    left_out.push_back({weight.name, fmt::format("has {} elements{}, no more than {} clusters", elements,
                                                 per_channel ? " in a channel" : "", options.clusters)});
    return true;
  });
  if (selected.empty())
    fail("cluster: nothing is left to cluster: {} {}", left_out[0].name, left_out[0].reason);

  const Codebook::Options book{.centroids = {.clusters = options.clusters,
                                             .init = options.init,
                                             .zero_first = options.preserve_sparsity,
                                             .seed = options.seed},
                               .aggregation = options.aggregation,
                               .starts_later = options.begin > 0};
  std::vector<ClusteredWeight> weights;
  for (SelectedWeight& weight : selected) {
    const Tensor value = before_clustering(weight.parameter);
    auto codebook = std::make_shared<Codebook>(value, options.per_channel && value.shape().rank() > 2, book);
    attach(weight, codebook);
    weights.push_back({weight.name, weight.parameter, std::move(codebook)});
  }
  return std::make_unique<Clustering>(std::move(weights), std::move(left_out), options);
}

std::vector<LeftOut> from_unique(layers::Module& model, const UniqueOptions& options) {
  check(options.most >= 2, "from_unique: most is {}, expected at least 2", options.most);
  std::vector<LeftOut> left_out;
  for (SelectedWeight& weight : select_unclustered(model, options.layers, "from_unique")) {
    const Tensor value = before_clustering(weight.parameter);
    UniqueOptions own = options;
    own.per_channel = options.per_channel && value.shape().rank() > 2;
    std::string reason;
    const Tensor centroids = centroids_of(value, own, reason);
    if (!centroids) {
      left_out.push_back({weight.name, std::move(reason)});
      continue;
    }
    Codebook::Options book{.aggregation = options.aggregation};
    book.centroids.clusters = static_cast<int>(centroids.shape()[-1]);
    book.centroids.zero_first = has_zeros(value.span<float>());
    attach(weight, std::make_shared<Codebook>(value, centroids, book));
  }
  return left_out;
}

std::vector<ClusteredWeight> clustered_weights(layers::Module& model) {
  std::vector<ClusteredWeight> result;
  for (const layers::NamedParameter& named : model.parameters())
    for (const auto& transform : named.parameter.transforms())
      if (auto codebook = std::dynamic_pointer_cast<Codebook>(transform))
        result.push_back({named.name, named.parameter, std::move(codebook)});
  return result;
}

std::int64_t count_unique(std::span<const float> values) {
  return static_cast<std::int64_t>(unique_values(values).size());
}

}  // namespace lathe::compress
