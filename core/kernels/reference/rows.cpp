#include "rows.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace lathe::kernels::reference {
namespace {

double real(float x) { return static_cast<double>(x); }

/// log softmax(x / temperature) of one row.
std::vector<double> log_probabilities(const float* x, std::int64_t classes, double temperature = 1) {
  std::vector<double> result(x, x + classes);
  for (double& value : result) value /= temperature;
  const double largest = *std::ranges::max_element(result);
  double sum = 0;
  for (double value : result) sum += std::exp(value - largest);
  for (double& value : result) value -= largest + std::log(sum);
  return result;
}

/// Calls f(index, log probability, row's first index) for every element.
template <typename F>
void for_each_element(RowsShape s, const float* x, F&& f) {
  for (std::int64_t first = 0; first < s.size(); first += s.classes) {
    const std::vector<double> logs = log_probabilities(x + first, s.classes);
    for (std::int64_t c = 0; c < s.classes; ++c) f(first + c, logs[static_cast<std::size_t>(c)], first);
  }
}

}  // namespace

void softmax(RowsShape s, const float* x, float* y) {
  for_each_element(s, x, [&](auto i, double log, auto) { y[i] = static_cast<float>(std::exp(log)); });
}

void log_softmax(RowsShape s, const float* x, float* y) {
  for_each_element(s, x, [&](auto i, double log, auto) { y[i] = static_cast<float>(log); });
}

void softmax_backward(RowsShape s, const float* x, const float* dy, float* dx) {
  std::vector<double> dots(static_cast<std::size_t>(s.rows));
  const auto dot = [&](std::int64_t first) -> double& {
    return dots[static_cast<std::size_t>(first / s.classes)];
  };
  for_each_element(s, x, [&](auto i, double log, auto first) { dot(first) += std::exp(log) * real(dy[i]); });
  for_each_element(s, x, [&](auto i, double log, auto first) {
    dx[i] = static_cast<float>(std::exp(log) * (real(dy[i]) - dot(first)));
  });
}

void log_softmax_backward(RowsShape s, const float* x, const float* dy, float* dx) {
  for_each_element(s, x, [&](auto i, double log, auto first) {
    double sum = 0;
    for (std::int64_t c = 0; c < s.classes; ++c) sum += real(dy[first + c]);
    dx[i] = static_cast<float>(real(dy[i]) - std::exp(log) * sum);
  });
}

double cross_entropy(RowsShape s, const float* x, const std::int32_t* labels, double smoothing, float* dx) {
  double loss = 0;
  const auto rows = static_cast<double>(s.rows);
  for_each_element(s, x, [&](std::int64_t i, double log, std::int64_t first) {
    const bool is_label = i - first == labels[first / s.classes];
    const double target = (is_label ? 1 - smoothing : 0) + smoothing / static_cast<double>(s.classes);
    loss -= target * log / rows;
    dx[i] = static_cast<float>((std::exp(log) - target) / rows);
  });
  return loss;
}

double kl_divergence(RowsShape s, const float* x, const float* t, double temperature, float* dx) {
  double loss = 0;
  const auto rows = static_cast<double>(s.rows);
  for (std::int64_t first = 0; first < s.size(); first += s.classes) {
    const std::vector<double> log_x = log_probabilities(x + first, s.classes, temperature);
    const std::vector<double> log_t = log_probabilities(t + first, s.classes, temperature);
    for (std::size_t c = 0; c < log_x.size(); ++c) {
      loss += temperature * temperature * std::exp(log_t[c]) * (log_t[c] - log_x[c]) / rows;
      dx[first + static_cast<std::int64_t>(c)] =
          static_cast<float>(temperature * (std::exp(log_x[c]) - std::exp(log_t[c])) / rows);
    }
  }
  return loss;
}

double mean_squared_error(std::int64_t size, const float* x, const float* target, float* dx) {
  double loss = 0;
  for (std::int64_t i = 0; i < size; ++i) {
    const double difference = real(x[i]) - real(target[i]);
    loss += difference * difference / static_cast<double>(size);
    dx[i] = static_cast<float>(2 * difference / static_cast<double>(size));
  }
  return loss;
}

}  // namespace lathe::kernels::reference
