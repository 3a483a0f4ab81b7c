#include <lathe/compress/prune.h>

#include <lathe/base/error.h>
#include <lathe/base/io.h>
#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>

#include <algorithm>
#include <array>

namespace lathe::compress {
namespace {

constexpr std::array<std::string_view, 2> kPrunable = {"Conv2d", "Linear"};

bool has_zeros(const Tensor& tensor) { return std::ranges::count(tensor.span<float>(), 0.0f) > 0; }

std::shared_ptr<PruneMask> attach_mask(SelectedWeight& weight) {
  const auto mask = std::make_shared<PruneMask>(weight.parameter.master().shape());
  mask->train(weight.layer->training());
  weight.parameter.attach(mask);
  return mask;
}

std::vector<SelectedWeight> select_unpruned(layers::Module& model, const Selection& selection,
                                            std::string_view method) {
  std::vector<SelectedWeight> weights = select_weights(model, selection, method, kPrunable);
  check_free(weights, layers::Stage::prune, method);
  return weights;
}

}  // namespace

PruneMask::PruneMask(const Shape& shape) : mask_(Tensor::full(shape, 1)), threshold_(Tensor::zeros({1})) {}

Tensor PruneMask::apply(const Tensor& x) {
  check(updated_ || frozen_ || !training() || !grad_enabled(),
        "prune: training without the callback: give what prune() returned to the Trainer, or call its "
        "update(step) before "
        "each step");
  return apply_mask(x, mask_);
}

std::vector<std::pair<std::string, Tensor*>> PruneMask::buffers() {
  return {{"mask", &mask_}, {"threshold", &threshold_}};
}

float PruneMask::threshold() const { return threshold_.item(); }
void PruneMask::set_threshold(float threshold) { threshold_.mutable_span<float>()[0] = threshold; }

double PruneMask::sparsity() const {
  return static_cast<double>(std::ranges::count(mask_.span<float>(), 0.0f)) /
         static_cast<double>(mask_.size());
}

Pruning::Pruning(std::vector<PrunedWeight> weights, PruneOptions options)
    : weights_(std::move(weights)), options_(std::move(options)) {}

void Pruning::update(std::int64_t step) {
  const std::int64_t t = step + 1;
  if (const auto* pattern = std::get_if<FineGrained>(&options_.structure))
    make_fine_grained_masks(*pattern);
  else if (updates_at(options_.schedule, t))
    make_masks(sparsity_at(options_.schedule, t));
  for (const PrunedWeight& weight : weights_) weight.mask->set_updated();
  zero_masked();
}

void Pruning::make_masks(float sparsity) {
  const auto& block = std::get<Block>(options_.structure);
  std::vector<std::vector<float>> scores;
  for (const PrunedWeight& weight : weights_) {
    const Tensor& master = weight.parameter.master();
    scores.push_back(block_scores(master.span<float>(), master.shape(), block));
  }
  std::vector<float> all;
  if (options_.global)
    for (const auto& some : scores) all.insert(all.end(), some.begin(), some.end());
  const float shared = options_.global ? magnitude_threshold(all, sparsity) : 0;

  for (std::size_t i = 0; i < weights_.size(); ++i) {
    PruneMask& mask = *weights_[i].mask;
    if (mask.frozen()) continue;
    const float threshold = options_.global ? shared : magnitude_threshold(scores[i], sparsity);
    std::vector<float> kept(scores[i].size());
    threshold_mask(scores[i], threshold, kept);
    expand_blocks(kept, mask.mask().shape(), block, mask.mask().mutable_span<float>());
    mask.set_threshold(threshold);
  }
}

void Pruning::make_fine_grained_masks(const FineGrained& pattern) {
  for (const PrunedWeight& weight : weights_) {
    Tensor& mask = weight.mask->mask();
    // Made once: a mask with zeros is there already, maybe from before a resume. One without has nothing to
    // remove.
    if (weight.mask->frozen() || has_zeros(mask)) continue;
    const Tensor& master = weight.parameter.master();
    fine_grained_mask(master.span<float>(), master.shape(), pattern, mask.mutable_span<float>());
  }
}

void Pruning::zero_masked() {
  for (PrunedWeight& weight : weights_) {
    const std::span<float> master = weight.parameter.master().mutable_span<float>();
    const Tensor& mask = weight.mask->mask();
    const std::span<const float> kept = mask.span<float>();
    for (std::size_t i = 0; i < master.size(); ++i) master[i] = kept[i] != 0 ? master[i] : 0.0f;
  }
}

bool Pruning::final_sparsity_reached(std::int64_t step) const {
  return std::holds_alternative<FineGrained>(options_.structure) ||
         compress::final_sparsity_reached(options_.schedule, step + 1);
}

void Pruning::step_begin(optim::TrainState& state) {
  update(state.step);
  state.eligible = state.eligible && final_sparsity_reached(state.step);
}

void Pruning::epoch_begin(optim::TrainState& state) {
  // A resumed run may have nothing left of its epoch but the evaluation: then the step before counts.
  state.eligible = state.eligible && final_sparsity_reached(state.step - 1);
}

std::unique_ptr<Pruning> prune(layers::Module& model, const PruneOptions& options) {
  validate(options.schedule);
  validate(options.structure);
  check(!options.global || std::holds_alternative<Block>(options.structure),
        "prune: a fine-grained pattern has the same sparsity everywhere, global does not go with it");
  std::vector<PrunedWeight> weights;
  for (SelectedWeight& weight : select_unpruned(model, options.layers, "prune"))
    weights.push_back({weight.name, weight.parameter, attach_mask(weight)});
  return std::make_unique<Pruning>(std::move(weights), options);
}

std::vector<LeftOut> from_zeros(layers::Module& model, const Selection& selection) {
  std::vector<LeftOut> left_out;
  for (SelectedWeight& weight : select_unpruned(model, selection, "from_zeros")) {
    const Tensor& master = weight.parameter.master();
    if (!has_zeros(master)) {
      left_out.push_back({weight.name, "has no zeros"});
      continue;
    }
    const auto mask = attach_mask(weight);
    std::ranges::transform(master.span<float>(), mask->mask().mutable_span<float>().begin(),
                           [](float w) { return w != 0 ? 1.0f : 0.0f; });
    mask->freeze();
  }
  return left_out;
}

std::vector<PrunedWeight> pruned_weights(layers::Module& model) {
  std::vector<PrunedWeight> result;
  for (const layers::NamedParameter& named : model.parameters())
    for (const auto& transform : named.parameter.transforms())
      if (auto mask = std::dynamic_pointer_cast<PruneMask>(transform))
        result.push_back({named.name, named.parameter, std::move(mask)});
  return result;
}

void freeze_masks(layers::Module& model) {
  for (const PrunedWeight& weight : pruned_weights(model)) weight.mask->freeze();
}

void SparsityLog::epoch_end(optim::TrainState& state) {
  if (lines_.empty()) lines_ = "epoch,step,weight,elements,zeros,sparsity,threshold\n";
  for (const PrunedWeight& weight : pruned_weights(state.model)) {
    const Tensor& mask = weight.mask->mask();
    const float threshold = weight.mask->threshold();
    lines_ += fmt::format("{},{},{},{},{},{:.6f},{}\n", state.epoch + 1, state.step, weight.name, mask.size(),
                          std::ranges::count(mask.span<float>(), 0.0f), weight.mask->sparsity(),
                          threshold > 0 ? fmt::format("{:.9g}", threshold) : "");
  }
  write_file(path_, lines_);
}

}  // namespace lathe::compress
