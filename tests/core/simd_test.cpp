#include "../../core/kernels/simd/simd.h"

#include <lathe/base/random.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace lathe::kernels::simd {
namespace {

using Floats = std::vector<float>;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kUntouched = -12345;

Floats uniforms(Index n, float low = -3, float high = 3) {
  static Rng rng(1);
  Floats result(static_cast<std::size_t>(n));
  rng.fill_uniform(result, low, high);
  return result;
}

/// Room for n results and a guard behind them.
Floats room(Index n) { return Floats(static_cast<std::size_t>(n) + 8, kUntouched); }

void check_close(const Floats& a, const Floats& b, float tolerance = 2e-6f) {
  REQUIRE(a.size() == b.size());
  float worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    worst = std::max(worst, std::abs(a[i] - b[i]) / std::max(1.0f, std::abs(b[i])));
  CHECK(worst <= tolerance);
}

/// Calls f(kernels) for every level that this machine runs.
template <typename F>
void for_each_level(F&& f) {
  for (int level = 0; level < kLevels; ++level) {
    const Kernels* kernels = kernels_of_level(level);
    if (kernels == nullptr) continue;
    CAPTURE(std::string(kernels->level));
    f(*kernels);
  }
}

const Kernels& portable_kernels() { return *kernels_of_level(0); }

TEST_CASE("the table in use is the best one that the processor runs") {
  const Kernels* best = nullptr;
  for (int level = 0; level < kLevels; ++level)
    if (const Kernels* kernels = kernels_of_level(level)) best = kernels;
  CHECK(&simd() == best);
  CHECK(kernels_of_level(kLevels) == nullptr);
  CHECK(std::string(portable_kernels().level) == "portable");
}

TEST_CASE("the exponential function is exact to 2e-7 wherever it is a normal number") {
  Floats x;
  for (float value = -87.3f; value < 88.72f; value += 0.00037f) x.push_back(value);
  for (float value = -1e-3f; value < 1e-3f; value += 1.7e-7f) x.push_back(value);
  Floats y(x.size());
  for_each_level([&](const Kernels& kernels) {
    kernels.elementwise.exponential(x.data(), y.data(), static_cast<Index>(x.size()));
    double worst = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double exact = std::exp(static_cast<double>(x[i]));
      worst = std::max(worst, std::abs(static_cast<double>(y[i]) / exact - 1));
    }
    CHECK(worst < 2e-7);
  });
}

TEST_CASE("rounding to bf16 goes to the nearest, halves to even, and keeps NaN and signs") {
  // 1 + k/256: a bf16 keeps 7 bits behind the point.
  const Floats x = {1 + 1 / 256.0f,
                    1 + 3 / 256.0f,
                    1 + 1.01f / 256,
                    -1 - 1 / 256.0f,
                    3.4e38f,
                    -0.0f,
                    1e-40f,
                    kInfinity,
                    -kInfinity,
                    kNan,
                    0};
  const std::vector<unsigned> expected = {0x3f80, 0x3f82, 0x3f81, 0xbf80, 0x7f80, 0x8000,
                                          0x0001, 0x7f80, 0xff80, 0x7fc0, 0};
  const float narrow_nan = std::bit_cast<float>(0x7f800001u);  // its upper half is that of infinity
  Floats many = uniforms(1000);
  many.push_back(narrow_nan);
  std::vector<std::vector<Bf16>> by_level;
  for_each_level([&](const Kernels& kernels) {
    std::vector<Bf16> y(x.size());
    kernels.elementwise.to_bf16(x.data(), y.data(), static_cast<Index>(x.size()));
    for (std::size_t i = 0; i < x.size(); ++i) CHECK(static_cast<unsigned>(y[i]) == expected[i]);
    std::vector<Bf16>& all = by_level.emplace_back(many.size());
    kernels.elementwise.to_bf16(many.data(), all.data(), static_cast<Index>(many.size()));
    CHECK((static_cast<unsigned>(all.back()) & 0x7fu) != 0);
    for (std::size_t i = 0; i + 1 < many.size(); ++i) {
      const float back = std::bit_cast<float>(static_cast<std::uint32_t>(all[i]) << 16);
      CHECK(std::abs(back - many[i]) <= std::abs(many[i]) / 256);
    }
    CHECK(all == by_level[0]);
  });
}

TEST_CASE("functions keep NaN and reach their limits") {
  const Floats x = {kNan, kInfinity, -kInfinity, 1000, -1000, 0, 88.8f, -103};
  for_each_level([&](const Kernels& kernels) {
    Floats y(x.size());
    const Elementwise& e = kernels.elementwise;
    const auto n = static_cast<Index>(x.size());
    e.exponential(x.data(), y.data(), n);
    CHECK(std::isnan(y[0]));
    CHECK(Floats(y.begin() + 1, y.begin() + 6) == Floats{kInfinity, 0, kInfinity, 0, 1});
    CHECK(y[6] == kInfinity);
    CHECK(y[7] > 0);
    CHECK(y[7] < 3e-45f);
    e.activate[1](x.data(), y.data(), n);
    CHECK(std::isnan(y[0]));
    CHECK(Floats(y.begin() + 1, y.begin() + 6) == Floats{kInfinity, 0, 1000, 0, 0});
    e.activate[2](x.data(), y.data(), n);
    CHECK(std::isnan(y[0]));
    CHECK(Floats(y.begin() + 1, y.begin() + 6) == Floats{6, 0, 6, 0, 0});
    e.activate[3](x.data(), y.data(), n);
    CHECK(std::isnan(y[0]));
    CHECK(Floats(y.begin() + 1, y.begin() + 6) == Floats{1, 0, 1, 0, 0.5f});
    e.activate[4](x.data(), y.data(), n);
    CHECK(std::isnan(y[0]));
    CHECK(Floats(y.begin() + 3, y.begin() + 6) == Floats{1000, 0, 0});
  });
}

TEST_CASE("all levels agree on every length and write nothing behind it") {
  const Elementwise& plain = portable_kernels().elementwise;
  for (Index n = 0; n < 70; ++n) {
    CAPTURE(n);
    const Floats a = uniforms(n, -9, 9), b = uniforms(n);
    for_each_level([&](const Kernels& kernels) {
      const Elementwise& fast = kernels.elementwise;
      const auto same = [&](auto run) {
        Floats expected = room(n), given = room(n);
        run(plain, expected.data());
        run(fast, given.data());
        check_close(given, expected);
        CHECK(std::all_of(given.begin() + n, given.end(), [](float value) { return value == kUntouched; }));
      };
      for (std::size_t f = 1; f < kActivations; ++f) {
        same([&](const Elementwise& e, float* y) { e.activate[f](a.data(), y, n); });
        same([&](const Elementwise& e, float* y) { e.activate_backward[f](a.data(), b.data(), y, n); });
      }
      for (std::size_t f = 0; f < 3; ++f)
        same([&](const Elementwise& e, float* y) { e.add[f](a.data(), b.data(), y, n); });
      same([&](const Elementwise& e, float* y) { e.multiply(a.data(), b.data(), y, n); });
      same([&](const Elementwise& e, float* y) { e.scale(1.5f, a.data(), y, n); });
      same([&](const Elementwise& e, float* y) { e.scaled_difference(1.5f, a.data(), b.data(), y, n); });
      same([&](const Elementwise& e, float* y) { e.exponential(b.data(), y, n); });
      same([&](const Elementwise& e, float* y) {
        std::copy(a.begin(), a.end(), y);
        e.accumulate(b.data(), y, n);
      });
      CHECK(fast.sum(a.data(), n) == doctest::Approx(plain.sum(a.data(), n)).epsilon(1e-12));
      CHECK(fast.squared_distance(a.data(), b.data(), n) ==
            doctest::Approx(plain.squared_distance(a.data(), b.data(), n)).epsilon(1e-12));
    });
  }
}

TEST_CASE("all levels agree on rows of every length") {
  const Rows& plain = portable_kernels().rows;
  constexpr Index kCount = 3;
  for (Index classes = 1; classes < 40; ++classes) {
    CAPTURE(classes);
    const Index n = kCount * classes;
    const Floats a = uniforms(n), b = uniforms(n), logs = uniforms(n, -8, 0), shares = uniforms(n, 0, 0.2f);
    std::vector<std::int32_t> labels(kCount);
    for (std::size_t r = 0; r < labels.size(); ++r)
      labels[r] = static_cast<std::int32_t>((r * 7 + 3) % static_cast<std::size_t>(classes));
    for_each_level([&](const Kernels& kernels) {
      const auto same = [&](auto run) {
        Floats expected = room(n), given = room(n);
        run(plain, expected.data());
        run(kernels.rows, given.data());
        check_close(given, expected, 1e-5f);  // sums in another order
      };
      same([&](const Rows& r, float* y) { r.softmax(a.data(), y, kCount, classes); });
      same([&](const Rows& r, float* y) { r.softmax_backward(shares.data(), b.data(), y, kCount, classes); });
      same([&](const Rows& r, float* y) { r.log_softmax(a.data(), y, kCount, classes); });
      same([&](const Rows& r, float* y) {
        r.log_softmax_backward(logs.data(), b.data(), y, kCount, classes);
      });
      for (const bool gradient : {false, true}) {
        same([&](const Rows& r, float* y) {
          Floats loss(kCount);
          r.cross_entropy(a.data(), labels.data(), 0.1f, 0.5f, loss.data(), gradient ? y : nullptr, kCount,
                          classes);
          y[n] = loss[2];
        });
        same([&](const Rows& r, float* y) {
          Floats loss(kCount);
          r.kl_divergence(a.data(), b.data(), 0.5f, 0.5f, loss.data(), gradient ? y : nullptr, kCount,
                          classes);
          y[n] = loss[2];
        });
      }
    });
  }
}

TEST_CASE("all levels agree on normalisation for every number of rows") {
  const Norm& plain = portable_kernels().norm;
  constexpr Index kPeriod = 48;
  const Floats mean = uniforms(kPeriod), scale = uniforms(kPeriod, 0.5f, 2), beta = uniforms(kPeriod),
               slope = uniforms(kPeriod), offset = uniforms(kPeriod);
  for (Index n : {0, 12, 48, 60, 192, 204, 500, 1000}) {
    CAPTURE(n);
    const Floats x = uniforms(n), dy = uniforms(n);
    for_each_level([&](const Kernels& kernels) {
      const auto same = [&](Index size, auto run) {
        Floats expected(static_cast<std::size_t>(size)), given(expected);
        run(plain, expected.data());
        run(kernels.norm, given.data());
        check_close(given, expected, 1e-5f);
      };
      same(2 * kPeriod,
           [&](const Norm& k, float* y) { k.moments(x.data(), n, kPeriod, mean.data(), y, y + kPeriod); });
      for (std::size_t f = 0; f < 4; ++f) {
        same(n, [&](const Norm& k, float* y) {
          k.apply[f](x.data(), y, n, kPeriod, mean.data(), scale.data(), beta.data());
        });
        same(n, [&](const Norm& k, float* y) {  // in place
          std::copy(x.begin(), x.end(), y);
          k.apply[f](y, y, n, kPeriod, mean.data(), scale.data(), beta.data());
        });
        same(2 * kPeriod, [&](const Norm& k, float* y) {
          k.backward_sums[f](x.data(), dy.data(), n, kPeriod, mean.data(), scale.data(), beta.data(), y,
                             y + kPeriod);
        });
        same(n, [&](const Norm& k, float* y) {
          k.backward_apply[f](x.data(), dy.data(), y, n, kPeriod, mean.data(), scale.data(), beta.data(),
                              slope.data(), offset.data());
        });
      }
    });
  }
}

TEST_CASE("all levels agree on the gated normalisation for every number of rows and channels") {
  const GatedNorm& plain = portable_kernels().gated_norm;
  for (Index channels : {1, 7, 16, 20, 50})
    for (Index rows : {1, 2, 4, 7, 9}) {
      CAPTURE(channels);
      CAPTURE(rows);
      const Index n = rows * channels;
      const Floats x = uniforms(n, -6, 6), dz = uniforms(n), mean = uniforms(channels),
                   scale = uniforms(channels, 0.5f, 2), beta = uniforms(channels), gate = uniforms(channels),
                   rest = uniforms(channels), along = uniforms(channels), offset = uniforms(channels);
      const GatedNormFactors factors{mean.data(), scale.data(), beta.data()};
      for_each_level([&](const Kernels& kernels) {
        const auto same = [&](Index size, auto run) {
          Floats expected = room(size), given = room(size);
          std::fill_n(expected.begin(), size, 1.0f);
          std::fill_n(given.begin(), size, 1.0f);
          run(plain, expected.data());
          run(kernels.gated_norm, given.data());
          check_close(given, expected, 1e-5f);
          CHECK(std::all_of(given.begin() + size, given.end(),
                            [](float value) { return value == kUntouched; }));
        };
        same(3 * channels, [&](const GatedNorm& k, float* y) {
          k.sums(factors, x.data(), rows, channels, y, y + channels, y + 2 * channels);
        });
        same(n, [&](const GatedNorm& k, float* y) {
          k.apply(factors, x.data(), gate.data(), rows, channels, y);
        });
        same(3 * channels, [&](const GatedNorm& k, float* y) {
          k.backward_sums(factors, x.data(), dz.data(), rows, channels, y, y + channels, y + 2 * channels);
        });
        same(n, [&](const GatedNorm& k, float* y) {  // in place
          std::copy(dz.begin(), dz.end(), y);
          k.backward_apply(factors, x.data(), y, gate.data(), rest.data(), along.data(), offset.data(), rows,
                           channels, y);
        });
      });
    }
}

TEST_CASE("random words are those of Rng at every level") {
  const Rng::State state{
      .seed = 0x123456789abcdef0, .stream = 0xfedcba9876543210, .position = 4 * 0xfffffff0};
  for_each_level([&](const Kernels& kernels) {
    for (Index blocks : {0, 1, 7, 16, 50}) {
      Rng rng(state);
      std::vector<std::uint32_t> words(static_cast<std::size_t>(4 * blocks));
      kernels.dropout.random_words(state.seed, state.stream, state.position / 4, blocks, words.data());
      for (std::uint32_t word : words) REQUIRE(word == rng.next());
    }
  });
}

TEST_CASE("dropping keeps by the upper 24 bits of each word") {
  const std::vector<std::uint32_t> words = {0, 255, 256, 0x800000ff, 0xffffffff};
  const Floats x = {1, 2, 3, kNan, 5};
  for_each_level([&](const Kernels& kernels) {
    Floats y(5);
    std::vector<std::uint8_t> keep(5);
    kernels.dropout.drop(x.data(), words.data(), 1, 2, y.data(), keep.data(), 5);
    CHECK(keep == std::vector<std::uint8_t>{0, 0, 1, 1, 1});
    CHECK(y[1] == 0);
    CHECK(y[2] == 6);
    CHECK(std::isnan(y[3]));
    Floats dx(5);
    kernels.dropout.drop_backward(x.data(), keep.data(), 2, dx.data(), 5);
    CHECK(dx[0] == 0);
    CHECK(dx[4] == 10);
  });
}

}  // namespace
}  // namespace lathe::kernels::simd
