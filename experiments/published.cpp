#include "published.h"

#include <algorithm>

namespace lathe::experiments {
namespace {

constexpr PublishedCell kGrid[] = {
    {"conv", "baseline", 0.9909, 34826, 0, 142220, 39816, 40960, 0.9908, 0.0997, 0.0271, 0.0352, ""},
    {"conv", "qat", 0.9905, 35036, 2.9e-5, 146320, 41456, 41048, 0.9904, 0.5373, 0.0280, 0.0302, ""},
    {"conv", "prune-0.8", 0.9875, 34826, 0.7976, 142244, 39832, 40976, 0.9867, 0.0575, 0.0247, 0.0462, ""},
    {"conv", "cluster-8", 0.9861, 34826, 0, 142260, 39840, 40976, 0.9861, 0.0777, 0.0266, 0.0354, ""},
    {"dscnn", "kd", 0.9531, 1506, 0, 8988, 8988, 8128, 0.9507, 0.0078, 0.0058, 0.0081, ""},
    {"dscnn", "baseline", 0.9429, 1506, 0, 8968, 8968, 8120, 0.9377, 0.0072, 0.0070, 0.0076, ""},
    {"dscnn", "qat", 0.8962, 1650, 6.1e-4, 16120, 9032, 8608, 0.8952, 0.0641, 0.0077, 0.0086, ""},
    {"dscnn", "cluster-8", 0.7958, 1506, 0.0531, 9296, 9296, 8384, 0.7982, 0.1584, 0.2256, 0.0076, ""},
    {"dscnn", "prune-0.8", 0.7192, 1506, 0.3068, 8984, 8984, 8128, 0.7117, 0.0068, 0.0076, 0.0082,
     "the published row really stands at 50 % of the prunable weights"},
};

constexpr PublishedMethod kMethods[] = {
    {"none", "checkpoint", 0.9750, 302.0, 266.47},
    {"none", "fp32", 0.9750, 372.1, 82.63},
    {"none", "fp16", 0.9750, 367.9, 43.34},
    {"none", "dynamic", 0.9750, 365.9, 23.30},
    {"none", "uint8", 0.9754, 347.0, 23.85},
    {"none", "int16x8", 0.9750, 1947.2, 24.16},
    {"prune", "checkpoint", 0.9725, 429.3, 97.27},
    {"prune", "fp32", 0.9725, 376.8, 165.09},
    {"prune", "fp16", 0.9725, 369.5, 43.34},
    {"prune", "dynamic", 0.9726, 378.1, 23.30},
    {"prune", "uint8", 0.9723, 355.6, 23.85},
    {"prune", "int16x8", 0.9726, 2002.7, 24.16},
    {"quantize", "checkpoint", 0.9779, 449.6, 283.45},
    {"quantize", "fp32", 0.9779, 421.0, 167.73},
    {"quantize", "fp16", 0.9779, 337.2, 24.16},
    {"quantize", "dynamic", 0.9779, 332.6, 24.16},
    {"quantize", "uint8", 0.9774, 357.7, 24.19},
    {"cluster", "checkpoint", 0.9718, 455.8, 95.27},
    {"cluster", "fp32", 0.9718, 404.7, 402.75},
    {"cluster", "fp16", 0.9718, 405.2, 363.50},
    {"cluster", "dynamic", 0.9717, 398.2, 343.41},
    {"cluster", "uint8", 0.9717, 382.4, 343.97},
    {"cluster", "int16x8", 0.9716, 1973.6, 105.44},
    {"cluster_qat", "checkpoint", 0.9785, 533.1, 283.45},
    {"cluster_qat", "fp32", 0.9785, 415.6, 167.76},
    {"cluster_qat", "fp16", 0.9785, 331.6, 24.16},
    {"cluster_qat", "dynamic", 0.9785, 328.8, 24.16},
    {"cluster_qat", "uint8", 0.9781, 354.3, 24.20},
    {"cluster_cqat", "checkpoint", 0.9766, 589.9, 451.52},
    {"cluster_cqat", "fp32", 0.9766, 420.7, 167.76},
    {"cluster_cqat", "fp16", 0.9766, 330.5, 24.16},
    {"cluster_cqat", "dynamic", 0.9766, 333.0, 24.16},
    {"cluster_cqat", "uint8", 0.9765, 351.8, 24.20},
    {"prune_qat", "checkpoint", 0.9772, 548.3, 283.45},
    {"prune_qat", "fp32", 0.9772, 421.1, 167.73},
    {"prune_qat", "fp16", 0.9772, 329.0, 24.16},
    {"prune_qat", "dynamic", 0.9772, 329.5, 24.16},
    {"prune_qat", "uint8", 0.9772, 329.4, 24.16},
    {"prune_pqat", "checkpoint", 0.9748, 571.0, 283.45},
    {"prune_pqat", "fp32", 0.9751, 420.3, 167.73},
    {"prune_pqat", "fp16", 0.9748, 336.2, 24.16},
    {"prune_pqat", "dynamic", 0.9748, 327.5, 24.16},
    {"prune_pqat", "uint8", 0.9748, 328.1, 24.16},
    {"prune_cluster", "checkpoint", 0.9723, 469.5, 95.27},
    {"prune_cluster", "fp32", 0.9723, 6193.4, 248.62},
    {"prune_cluster", "fp16", 0.9723, 365.7, 43.34},
    {"prune_cluster", "dynamic", 0.9720, 363.4, 23.30},
    {"prune_cluster", "uint8", 0.9720, 363.3, 23.30},
    {"prune_cluster_qat", "checkpoint", 0.9763, 527.0, 283.45},
    {"prune_cluster_qat", "fp32", 0.9763, 409.1, 167.73},
    {"prune_cluster_qat", "fp16", 0.9763, 326.4, 24.16},
    {"prune_cluster_qat", "dynamic", 0.9763, 328.7, 24.16},
    {"prune_cluster_qat", "uint8", 0.9763, 330.4, 24.16},
    {"prune_cluster_pcqat", "checkpoint", 0.9738, 580.2, 451.52},
    {"prune_cluster_pcqat", "fp32", 0.9738, 416.0, 167.73},
    {"prune_cluster_pcqat", "fp16", 0.9738, 330.3, 24.16},
    {"prune_cluster_pcqat", "dynamic", 0.9738, 333.6, 24.16},
    {"prune_cluster_pcqat", "uint8", 0.9738, 332.5, 24.16},
};

constexpr PublishedNetwork kNetworks[] = {
    {"mobilenet_v1", 0.709, 0.657, 124, 112, 16.9, 4.3, 0.70, 64},
    {"mobilenet_v2", 0.719, 0.637, 89, 98, 14, 3.6, 0.709, 54},
    {"inception_v3", 0.78, 0.772, 1130, 845, 95.7, 23.9, 0.775, 543},
    {"resnet_v2_101", 0.770, 0.768, 3973, 2868, 178.3, 44.9, {}, {}},
};

}  // namespace

std::span<const PublishedCell> published_grid() { return kGrid; }

const PublishedCell* find_published(std::string_view base, std::string_view kind) {
  const auto* found = std::ranges::find_if(
      kGrid, [&](const PublishedCell& cell) { return cell.base == base && cell.kind == kind; });
  return found == std::ranges::end(kGrid) ? nullptr : found;
}

std::span<const PublishedMethod> published_methods() { return kMethods; }

const PublishedMethod* find_published_method(std::string_view optimisation, std::string_view method) {
  const auto* found = std::ranges::find_if(kMethods, [&](const PublishedMethod& entry) {
    return entry.optimisation == optimisation && entry.method == method;
  });
  return found == std::ranges::end(kMethods) ? nullptr : found;
}

std::span<const PublishedNetwork> published_networks() { return kNetworks; }

const PublishedNetwork* find_published_network(std::string_view model) {
  const auto* found = std::ranges::find(kNetworks, model, &PublishedNetwork::model);
  return found == std::ranges::end(kNetworks) ? nullptr : found;
}

}  // namespace lathe::experiments
