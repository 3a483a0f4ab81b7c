#include "kind.h"

#include <lathe/base/error.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <vector>

namespace lathe::experiments {
namespace {

constexpr std::string_view kParts =
    "baseline, kd, prune-S (a sparsity, prune-0.8), prune-S-OxI (whole blocks of outputs and "
    "inputs, prune-0.8-16x4), prune-Z:N (zeros in each group, prune-2:4), cluster-K "
    "(cluster-16; cluster-16-linear places its centroids in another way: linear, random, density), qat, and "
    "pqat, cqat, pcqat; several are joined by +; prune-S-dense and qat-dense are for linear layers alone";

constexpr std::string_view kDense = "-dense";

struct NamedInit {
  std::string_view name;
  compress::CentroidInit init;
};
constexpr NamedInit kInits[] = {{"kmeans", compress::CentroidInit::kmeans},
                                {"linear", compress::CentroidInit::linear},
                                {"random", compress::CentroidInit::random},
                                {"density", compress::CentroidInit::density}};

[[noreturn]] void refuse(std::string_view part, std::string_view why) {
  fail("there is no kind '{}'{}{}; there are {}", part, why.empty() ? "" : ": ", why, kParts);
}

/// The whole text as a number.
template <typename T>
std::optional<T> number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

void set_pruning(Kind& kind, std::string_view part, std::string_view value) {
  if (kind.prunes()) refuse(part, "the model is pruned already");
  if (value.ends_with(kDense)) {
    kind.prune_dense = true;
    value.remove_suffix(kDense.size());
  }
  if (const std::size_t colon = value.find(':'); colon != std::string_view::npos) {
    const auto zeros = number<int>(value.substr(0, colon)), group = number<int>(value.substr(colon + 1));
    if (!zeros || !group || *zeros < 1 || *zeros >= *group || *group > 1024)
      refuse(part, "expected fewer zeros than there are in a group");
    kind.pattern = compress::FineGrained{*zeros, *group};
    return;
  }
  if (const std::size_t dash = value.find('-'); dash != std::string_view::npos) {
    const std::string_view size = value.substr(dash + 1);
    const std::size_t cross = std::min(size.find('x'), size.size() - 1);
    const auto outputs = number<int>(size.substr(0, cross)), inputs = number<int>(size.substr(cross + 1));
    if (!outputs || !inputs || *outputs < 1 || *inputs < 1 || *outputs > 1024 || *inputs > 1024)
      refuse(part, "a block has 1 to 1024 outputs and as many inputs, 16x4");
    kind.block = compress::Block{.outputs = *outputs, .inputs = *inputs};
    value = value.substr(0, dash);
  }
  const auto sparsity = number<float>(value);
  if (!sparsity || !(*sparsity > 0) || *sparsity >= 1) refuse(part, "the sparsity is above 0 and below 1");
  kind.sparsity = sparsity;
}

void set_clustering(Kind& kind, std::string_view part, std::string_view value) {
  if (kind.clusters > 0) refuse(part, "the model is clustered already");
  const std::size_t dash = value.find('-');
  if (dash != std::string_view::npos) {
    const auto* named = std::ranges::find(kInits, value.substr(dash + 1), &NamedInit::name);
    if (named == std::end(kInits)) refuse(part, "centroids are placed by kmeans, linear, random or density");
    kind.centroid_init = named->init;
  }
  const auto clusters = number<int>(value.substr(0, dash));
  if (!clusters || *clusters < 2 || *clusters > 65'536) refuse(part, "2 to 65536 clusters are possible");
  kind.clusters = *clusters;
}

void add_part(Kind& kind, std::string_view part) {
  const std::size_t dash = part.find('-');
  const std::string_view name = part.substr(0, dash);
  const std::string_view value = dash == std::string_view::npos ? std::string_view() : part.substr(dash + 1);
  if (name == "prune" && !value.empty()) {
    set_pruning(kind, part, value);
  } else if (name == "cluster" && !value.empty()) {
    set_clustering(kind, part, value);
  } else if (part == "qat" || part == "qat-dense") {
    if (kind.quantization_aware) refuse(part, "it is there twice");
    kind.quantization_aware = true;
    kind.quantize_dense = part != "qat";
  } else if (part == "kd") {
    if (kind.distil) refuse(part, "it is there twice");
    kind.distil = true;
  } else if (part == "pqat" || part == "cqat" || part == "pcqat") {
    if (part != "cqat") add_part(kind, "prune-0.8");
    if (part != "pqat") add_part(kind, "cluster-16");
    add_part(kind, "qat");
  } else {
    refuse(part, "");
  }
}

}  // namespace

Kind parse_kind(std::string_view text) {
  Kind kind;
  if (text == "baseline") return kind;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('+', begin), text.size());
    add_part(kind, text.substr(begin, end - begin));
    begin = end + 1;
  }
  if (kind.prunes() && kind.clusters == 2)
    refuse(text, "one of the 2 clusters would be the zeros; 3 are the least with pruning");
  return kind;
}

std::string to_string(const Kind& kind) {
  std::vector<std::string> parts;
  if (kind.distil) parts.emplace_back("kd");
  const std::string_view dense = kind.prune_dense ? kDense : "";
  const std::string block = kind.block ? fmt::format("-{}x{}", kind.block->outputs, kind.block->inputs) : "";
  if (kind.sparsity) parts.push_back(fmt::format("prune-{}{}{}", *kind.sparsity, block, dense));
  if (kind.pattern)
    parts.push_back(fmt::format("prune-{}:{}{}", kind.pattern->zeros, kind.pattern->group, dense));
  if (kind.clusters > 0) {
    const auto* named = std::ranges::find(kInits, kind.centroid_init, &NamedInit::init);
    parts.push_back(named == kInits ? fmt::format("cluster-{}", kind.clusters)
                                    : fmt::format("cluster-{}-{}", kind.clusters, named->name));
  }
  if (kind.quantization_aware) parts.emplace_back(kind.quantize_dense ? "qat-dense" : "qat");
  return parts.empty() ? "baseline" : fmt::format("{}", fmt::join(parts, "+"));
}

}  // namespace lathe::experiments
