// Tests internals: the fused update loops of each instruction set against the formulas in double, and against
// each other.
#include "kernels/dispatch.h"
#include "spread.h"

#include <doctest/doctest.h>

#include <lathe/base/random.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

using namespace lathe;
using namespace lathe::optim;
using kernels::Table;

namespace {

constexpr std::int64_t kSize = 1037;  // not a multiple of any vector

struct Arrays {
  std::vector<float> value, grad, m, v;
};

Arrays random_arrays() {
  Arrays arrays;
  Rng rng(7);
  for (std::vector<float>* array : {&arrays.value, &arrays.grad, &arrays.m, &arrays.v}) {
    array->resize(kSize);
    rng.fill_uniform(*array, -2, 2);
  }
  for (float& x : arrays.v) x *= x;
  return arrays;
}

void check_close(const std::vector<float>& fast, const std::vector<double>& exact) {
  for (std::size_t i = 0; i < fast.size(); ++i) {
    INFO("element ", i);
    CHECK(std::abs(fast[i] - exact[i]) <=
          4e-7 * (1 + std::abs(exact[i])));  // a few roundings of numbers near 1
  }
}

std::vector<double> wide(const std::vector<float>& values) { return {values.begin(), values.end()}; }

}  // namespace

TEST_CASE("every level's SGD equals the formula") {
  for (const Table* table : kernels::available())
    for (const bool nesterov : {false, true}) {
      INFO(table->level, nesterov ? " nesterov" : "");
      Arrays a = random_arrays();
      const Arrays before = a;
      table->momentum({.rate = 0.1f, .momentum = 0.9f, .decay = 0.01f, .nesterov = nesterov}, a.value.data(),
                      a.grad.data(), a.v.data(), kSize);
      std::vector<double> value = wide(before.value), v = wide(before.v);
      for (std::size_t i = 0; i < value.size(); ++i) {
        const double d = before.grad[i] + double{0.01f} * value[i];
        v[i] = double{0.9f} * v[i] + d;
        value[i] -= double{0.1f} * (nesterov ? d + double{0.9f} * v[i] : v[i]);
      }
      check_close(a.value, value);
      check_close(a.v, v);

      Arrays plain = before;
      table->sgd({.rate = 0.1f, .momentum = 0, .decay = 0.01f, .nesterov = false}, plain.value.data(),
                 plain.grad.data(), kSize);
      value = wide(before.value);
      for (std::size_t i = 0; i < value.size(); ++i)
        value[i] -= double{0.1f} * (before.grad[i] + double{0.01f} * value[i]);
      check_close(plain.value, value);
    }
}

TEST_CASE("every level's Adam equals the formula") {
  for (const Table* table : kernels::available()) {
    INFO(table->level);
    Arrays a = random_arrays();
    const kernels::AdamFactors f{.rate = 0.1f,
                                 .one_minus_beta1 = 0.2f,
                                 .one_minus_beta2 = 0.03f,
                                 .epsilon = 1e-3f,
                                 .decay = 0.05f,
                                 .keep = 0.99f};
    std::vector<double> value = wide(a.value), m = wide(a.m), v = wide(a.v);
    for (std::size_t i = 0; i < value.size(); ++i) {
      const double g = a.grad[i] + double{f.decay} * value[i];
      m[i] = (1 - double{f.one_minus_beta1}) * m[i] + double{f.one_minus_beta1} * g;
      v[i] = (1 - double{f.one_minus_beta2}) * v[i] + double{f.one_minus_beta2} * g * g;
      value[i] = double{f.keep} * value[i] - double{f.rate} * m[i] / (std::sqrt(v[i]) + double{f.epsilon});
    }
    table->adam(f, a.value.data(), a.grad.data(), a.m.data(), a.v.data(), kSize);
    check_close(a.m, m);
    check_close(a.v, v);
    for (std::size_t i = 0; i < value.size(); ++i)  // divided by sqrt(v), which may be small
      CHECK(std::abs(a.value[i] - value[i]) <= 1e-6 * (1 + std::abs(value[i])) / (std::sqrt(v[i]) + 1e-3));
  }
}

TEST_CASE("every level's RMSprop equals the formula") {
  for (const Table* table : kernels::available()) {
    INFO(table->level);
    Arrays a = random_arrays();
    const kernels::RmsPropFactors f{.rate = 0.1f, .one_minus_rho = 0.1f, .epsilon = 1e-3f, .decay = 0.05f};
    std::vector<double> value = wide(a.value), v = wide(a.v);
    for (std::size_t i = 0; i < value.size(); ++i) {
      const double g = a.grad[i] + double{f.decay} * value[i];
      v[i] = (1 - double{f.one_minus_rho}) * v[i] + double{f.one_minus_rho} * g * g;
      value[i] -= double{f.rate} * g / (std::sqrt(v[i]) + double{f.epsilon});
    }
    table->rms_prop(f, a.value.data(), a.grad.data(), a.v.data(), kSize);
    check_close(a.v, v);
    for (std::size_t i = 0; i < value.size(); ++i)
      CHECK(std::abs(a.value[i] - value[i]) <= 1e-6 * (1 + std::abs(value[i])) / (std::sqrt(v[i]) + 1e-3));
  }
}

TEST_CASE("sums of squares are exact where they can be, for every length") {
  for (const Table* table : kernels::available())
    for (std::int64_t size = 0; size < 70; ++size) {
      std::vector<float> values;
      double expected = 0;
      for (std::int64_t i = 0; i < size; ++i) {
        values.push_back(static_cast<float>(i) - 20.5f);
        expected += static_cast<double>(values.back()) * static_cast<double>(values.back());
      }
      CHECK(table->sum_of_squares(values.data(), size) == expected);
    }
}

TEST_CASE("all levels give the same bytes, however the arrays are cut") {
  const auto run = [](const Table& table, std::int64_t piece) {
    Arrays a = random_arrays();
    for (std::int64_t i = 0; i < kSize; i += piece) {
      const std::int64_t size = std::min(piece, kSize - i);
      float *value = a.value.data() + i, *m = a.m.data() + i, *v = a.v.data() + i;
      const float* grad = a.grad.data() + i;
      table.adam({0.1f, 0.2f, 0.03f, 1e-7f, 0.05f, 0.99f}, value, grad, m, v, size);
      table.momentum({0.1f, 0.9f, 0.01f, true}, value, grad, m, size);
      table.rms_prop({0.1f, 0.1f, 1e-7f, 0.05f}, value, grad, v, size);
      table.sgd({0.1f, 0, 0.01f, false}, value, grad, size);
      table.scale(value, 0.3f, size);
    }
    a.value.push_back(static_cast<float>(table.sum_of_squares(a.grad.data(), kSize)));
    return a;
  };
  const auto same = [](const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
  };
  const Arrays expected = run(*kernels::available().front(), kSize);
  for (const Table* table : kernels::available())
    for (const std::int64_t piece : {std::int64_t{1}, std::int64_t{5}, std::int64_t{100}, kSize}) {
      INFO(table->level, " in pieces of ", piece);
      const Arrays got = run(*table, piece);
      CHECK(same(got.value, expected.value));
      CHECK(same(got.m, expected.m));
      CHECK(same(got.v, expected.v));
    }
}

TEST_CASE("a spread finds every element of its arrays once") {
  Spread spread;
  const std::int64_t sizes[] = {3, 0, 5, 1, 0, 0, 7};
  for (std::int64_t size : sizes) spread.add(size);
  CHECK(spread.total() == 16);
  for (const std::int64_t step : {1, 2, 4, 16}) {
    std::vector<std::vector<int>> seen;
    for (std::int64_t size : sizes) seen.emplace_back(static_cast<std::size_t>(size), 0);
    for (std::int64_t begin = 0; begin < 16; begin += step)
      spread.pieces(begin, begin + step, [&](std::size_t array, std::int64_t first, std::int64_t size) {
        for (std::int64_t i = first; i < first + size; ++i) ++seen.at(array).at(static_cast<std::size_t>(i));
      });
    for (const auto& array : seen)
      for (int times : array) CHECK(times == 1);
  }
}
