#include "gated_norm.h"

#include "simd.h"
#include "vec.h"

namespace lathe::kernels::simd::LATHE_LEVEL {
namespace {

/// The factors of one vector of channels.
struct Channels {
  Vec mean, scale, beta;

  LATHE_INLINE Channels(const GatedNormFactors& f, Index c, Lanes lanes)
      : mean(load(f.mean + c, lanes)), scale(load(f.scale + c, lanes)), beta(load(f.beta + c, lanes)) {}
};

/// What is computed again from x.
struct Again {
  Vec centred, y, slope;

  LATHE_INLINE Again(const Channels& f, Vec x) : centred(x - f.mean) {
    const Vec u = fma(centred, f.scale, f.beta);
    const Vec s = sigmoid(u);
    y = u * s;
    slope = fma(y, broadcast(1) - s, s);  // s + u * s * (1 - s)
  }
};

/// Calls step(index of an element, channels) for a vector of channels of a few rows at a time, so that what
/// belongs to the channels, and the sums in `begin` and `end`, is fetched once for them.
template <typename Begin, typename Step, typename End>
LATHE_INLINE void for_each_vector(Index rows, Index channels, Begin begin, Step step, End end) {
  constexpr Index kRows = 4;
  for (Index r = 0; r < rows; r += kRows) {
    const Index count = rows - r < kRows ? rows - r : kRows;
    for (Index c = 0; c < channels; c += kWidth) {
      const Lanes lanes = first_lanes(channels - c);
      auto state = begin(c, lanes);
      const Index at = r * channels + c;
      if (count == kRows) {
        LATHE_UNROLL
        for (Index k = 0; k < kRows; ++k) step(state, at + k * channels, lanes);
      } else {
        for (Index k = 0; k < count; ++k) step(state, at + k * channels, lanes);
      }
      end(state, c, lanes);
    }
  }
}

struct Sums {
  Channels factors;
  Vec y = zero(), slope = zero(), product = zero();
};

LATHE_INLINE void add_up(const Sums& s, Index c, Lanes lanes, float* y, float* slope, float* product) {
  store(y + c, load(y + c, lanes) + s.y, lanes);
  store(slope + c, load(slope + c, lanes) + s.slope, lanes);
  store(product + c, load(product + c, lanes) + s.product, lanes);
}

void sums(const GatedNormFactors& factors, const float* x, Index rows, Index channels, float* y, float* slope,
          float* product) {
  for_each_vector(
      rows, channels,
      [&](Index c, Lanes lanes) __attribute__((always_inline)) { return Sums{Channels(factors, c, lanes)}; },
      [&](Sums & s, Index at, Lanes lanes) __attribute__((always_inline)) {
        fetch_ahead(x + at);
        const Again again(s.factors, load(x + at, lanes));
        s.y = s.y + again.y;
        s.slope = s.slope + again.slope;
        s.product = fma(again.slope, again.centred, s.product);
      },
      [&](const Sums& s, Index c, Lanes lanes)
          __attribute__((always_inline)) { add_up(s, c, lanes, y, slope, product); });
}

struct Gate {
  Channels factors;
  Vec gate;
};

void apply(const GatedNormFactors& factors, const float* x, const float* gate, Index rows, Index channels,
           float* z) {
  for_each_vector(
      rows, channels,
      [&](Index c, Lanes lanes) __attribute__((always_inline)) {
        return Gate{Channels(factors, c, lanes), load(gate + c, lanes)};
      },
      [&](const Gate& g, Index at, Lanes lanes) __attribute__((always_inline)) {
        fetch_ahead(x + at);
        const Vec u = fma(load(x + at, lanes) - g.factors.mean, g.factors.scale, g.factors.beta);
        store(z + at, u * sigmoid(u) * g.gate, lanes);
      },
      [](const Gate&, Index, Lanes) {});
}

void backward_sums(const GatedNormFactors& factors, const float* x, const float* dz, Index rows,
                   Index channels, float* y, float* slope, float* product) {
  for_each_vector(
      rows, channels,
      [&](Index c, Lanes lanes) __attribute__((always_inline)) { return Sums{Channels(factors, c, lanes)}; },
      [&](Sums & s, Index at, Lanes lanes) __attribute__((always_inline)) {
        fetch_ahead(x + at), fetch_ahead(dz + at);
        const Again again(s.factors, load(x + at, lanes));
        const Vec grad = load(dz + at, lanes), sloped = grad * again.slope;
        s.y = fma(grad, again.y, s.y);
        s.slope = s.slope + sloped;
        s.product = fma(sloped, again.centred, s.product);
      },
      [&](const Sums& s, Index c, Lanes lanes)
          __attribute__((always_inline)) { add_up(s, c, lanes, y, slope, product); });
}

struct Gradient {
  Channels factors;
  Vec gate, rest, along, offset;
};

void backward_apply(const GatedNormFactors& factors, const float* x, const float* dz, const float* gate,
                    const float* rest, const float* along, const float* offset, Index rows, Index channels,
                    float* dx) {
  for_each_vector(
      rows, channels,
      [&](Index c, Lanes lanes) __attribute__((always_inline)) {
        return Gradient{Channels(factors, c, lanes), load(gate + c, lanes), load(rest + c, lanes),
                        load(along + c, lanes), load(offset + c, lanes)};
      },
      [&](const Gradient& g, Index at, Lanes lanes) __attribute__((always_inline)) {
        fetch_ahead(x + at), fetch_ahead(dz + at);
        const Again again(g.factors, load(x + at, lanes));
        const Vec grad = fma(load(dz + at, lanes), g.gate, g.rest);
        store(dx + at, fma(grad, again.slope, fma(g.along, again.centred, g.offset)), lanes);
      },
      [](const Gradient&, Index, Lanes) {});
}

}  // namespace

const GatedNorm kGatedNorm = {sums, apply, backward_sums, backward_apply};

}  // namespace lathe::kernels::simd::LATHE_LEVEL
