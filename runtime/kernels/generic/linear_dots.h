#pragma once

#include "../packed.h"

/// Linear layers as dot products along the inputs, for a vector type V with
///   DotSum, kDot                 accumulator and how many inputs one step takes
///   kMaxOutputs                  accumulators in registers
///   dot_x, dot_rest_x            kDot inputs; the last `rest` of them, the other lanes harmless
///   dot_load, dot_add, dot_zero, total
/// and start, add_totals, Finish as for convolutions.
namespace lathe::runtime {
namespace {

/// kOutputs dot products at once: x [I], weight [ceil(I/kDot)][kOutputs][kDot] -> totals [kOutputs].
template <class V, int kOutputs>
void dots(const typename V::In* x, int inputs, const typename V::DotElement* weight,
          typename V::SumElement* totals) {
  typename V::DotSum sum[kOutputs];
#pragma GCC unroll 16
  for (int o = 0; o < kOutputs; ++o) sum[o] = V::dot_zero();
  int i = 0;
  for (; i + V::kDot <= inputs; i += V::kDot) {
    const auto part = V::dot_x(x + i);
#pragma GCC unroll 16
    for (int o = 0; o < kOutputs; ++o) V::dot_add(sum[o], V::dot_load(weight + o * V::kDot), part);
    weight += kOutputs * V::kDot;
  }
  if (i < inputs) {
    const auto part = V::dot_rest_x(x + i, inputs - i);
#pragma GCC unroll 16
    for (int o = 0; o < kOutputs; ++o) V::dot_add(sum[o], V::dot_load(weight + o * V::kDot), part);
  }
#pragma GCC unroll 16
  for (int o = 0; o < kOutputs; ++o) totals[o] = V::total(sum[o]);
}

template <class V>
using Dots = void (*)(const typename V::In*, int, const typename V::DotElement*, typename V::SumElement*);

template <class V, int kOutputs = V::kMaxOutputs>
Dots<V> select_dots(int outputs) {
  if constexpr (kOutputs == 0) {
    return nullptr;
  } else {
    return outputs == kOutputs ? &dots<V, kOutputs> : select_dots<V, kOutputs - 1>(outputs);
  }
}

/// The dot products of any number of inputs, in pieces where V limits it (wide.h, kDotInputs).
template <class V>
void all_dots(Dots<V> dots, const typename V::In* x, int inputs, const typename V::DotElement* weight,
              int outputs, typename V::SumElement* totals) {
  if constexpr (requires { V::kDotInputs; }) {
    if (inputs > V::kDotInputs) {
      for (int o = 0; o < outputs; ++o) totals[o] = 0;
      for (int first = 0; first < inputs; first += V::kDotInputs) {
        typename V::SumElement part[V::kMaxOutputs];
        const int left = inputs - first;
        dots(x + first, left < V::kDotInputs ? left : V::kDotInputs, weight + std::int64_t{first} * outputs,
             part);
        for (int o = 0; o < outputs; ++o) totals[o] += part[o];
      }
      return;
    }
  }
  dots(x, inputs, weight, totals);
}

/// From the dot products of a sample to its outputs.
template <class V>
__attribute__((always_inline)) inline void finish_linear(const PackedLinear& p,
                                                         const typename V::SumElement* totals,
                                                         typename V::Out* out) {
  const auto* bias = static_cast<const typename V::SumElement*>(p.bias);
  const auto* scaling = static_cast<const typename V::Scaling*>(p.rescale);
  for (int o = 0; o < p.outputs; o += kLanes) {
    typename V::Sum sum = V::start(bias + o);
    V::add_totals(sum, totals + o);
    const typename V::Finish finish(p.clamp, p.limits, p.rescale == nullptr ? nullptr : scaling + o / kLanes);
    finish.store(sum, out + o, V::mask(p.outputs - o < kLanes ? p.outputs - o : kLanes));
  }
}

/// Scratch: the totals, padded to a multiple of 16.
template <class V>
void linear(const Call& call, Range samples) noexcept {
  const auto& p = *static_cast<const PackedLinear*>(call.params);
  const Dots<V> full = select_dots<V>(p.group), last = select_dots<V>(p.outputs % p.group);
  const std::int64_t weight_step = std::int64_t{(p.inputs + V::kDot - 1) / V::kDot} * V::kDot;
  auto* totals = static_cast<typename V::SumElement*>(call.scratch);
  for (std::int64_t n = samples.begin; n < samples.end; ++n) {
    const auto* x = static_cast<const typename V::In*>(call.input) + n * p.inputs;
    const auto* weight = static_cast<const typename V::DotElement*>(p.weight);
    int o = 0;
    for (; o + p.group <= p.outputs; o += p.group) {
      all_dots<V>(full, x, p.inputs, weight, p.group, totals + o);
      weight += weight_step * p.group;
    }
    if (o < p.outputs) all_dots<V>(last, x, p.inputs, weight, p.outputs - o, totals + o);
    finish_linear<V>(p, totals, static_cast<typename V::Out*>(call.output) + n * p.outputs);
  }
}

}  // namespace
}  // namespace lathe::runtime
