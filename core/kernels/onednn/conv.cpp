#include "conv.h"

#include "../parts.h"
#include "../reference/clamp.h"
#include "../scratch.h"
#include "common.h"

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

namespace lathe::kernels::onednn {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

enum class Pass : std::int64_t { forward, data, weights };

/// Everything that a primitive depends on.
struct Key {
  Pass pass;
  bool bias;
  ConvShape shape;

  auto fields() const {
    const ConvShape& s = shape;
    return std::array<std::int64_t, 16>{static_cast<std::int64_t>(pass),
                                        bias,
                                        s.n,
                                        s.h,
                                        s.w,
                                        s.c,
                                        s.o,
                                        s.kh,
                                        s.kw,
                                        s.stride_h,
                                        s.stride_w,
                                        s.top,
                                        s.left,
                                        s.out_h,
                                        s.out_w,
                                        s.groups};
  }
  bool operator<(const Key& other) const { return fields() < other.fields(); }
};

/// A primitive and the layouts it wants. x and y are NHWC, the weight is in a layout of its choice.
struct Entry {
  dnnl::primitive primitive;
  memory::desc x, y, weight, bias, plain_weight, scratchpad;

  bool reorders() const { return weight != plain_weight; }
};

memory::desc activation(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c) {
  return {{n, c, h, w}, memory::data_type::f32, Tag::nhwc};
}

memory::dims weight_dims(const ConvShape& s) {
  if (s.groups == 1) return {s.o, s.c, s.kh, s.kw};
  return {s.groups, s.o / s.groups, s.c / s.groups, s.kh, s.kw};
}

/// The convolution's description: the same arguments for all passes, `D` being the description of one.
template <typename D, typename... First>
D describe(const ConvShape& s, const memory::desc& a, const memory::desc& b, const memory::desc& c,
           const memory::desc* bias, First... first) {
  const memory::dims strides{s.stride_h, s.stride_w}, before{s.top, s.left};
  // What oneDNN derives the output's size from; negative where the last rows are not looked at.
  const memory::dims after{(s.out_h - 1) * s.stride_h + s.kh - s.h - s.top,
                           (s.out_w - 1) * s.stride_w + s.kw - s.w - s.left};
  const auto direct = dnnl::algorithm::convolution_direct;
  if constexpr (std::is_same_v<D, dnnl::convolution_backward_data::desc>) {
    return D(direct, a, b, c, strides, before, after);
  } else {
    if (bias != nullptr) return D(first..., direct, a, b, *bias, c, strides, before, after);
    return D(first..., direct, a, b, c, strides, before, after);
  }
}

/// No activation is fused: oneDNN's relu turns NaN into 0, and training that has gone wrong must show.
dnnl::primitive_attr attributes() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

dnnl::convolution_forward::primitive_desc forward_desc(const Key& key, const memory::desc& x,
                                                       const memory::desc& weight, const memory::desc& y,
                                                       const memory::desc& bias) {
  const auto d = describe<dnnl::convolution_forward::desc>(
      key.shape, x, weight, y, key.bias ? &bias : nullptr, dnnl::prop_kind::forward_training);
  return {d, attributes(), engine()};
}

Entry make(const Key& key) {
  const ConvShape& s = key.shape;
  Entry e;
  e.x = activation(s.n, s.h, s.w, s.c);
  e.y = activation(s.n, s.out_h, s.out_w, s.o);
  e.bias = memory::desc({s.o}, memory::data_type::f32, Tag::x);
  e.plain_weight = {weight_dims(s), memory::data_type::f32, s.groups == 1 ? Tag::ohwi : Tag::gohwi};
  const memory::desc any{weight_dims(s), memory::data_type::f32, Tag::any};
  const auto forward = forward_desc(key, e.x, any, e.y, e.bias);
  switch (key.pass) {
    case Pass::forward:
      e.primitive = dnnl::convolution_forward(forward);
      e.weight = forward.weights_desc();
      e.scratchpad = forward.scratchpad_desc();
      break;
    case Pass::data: {
      const auto d = describe<dnnl::convolution_backward_data::desc>(s, e.x, any, e.y, nullptr);
      const dnnl::convolution_backward_data::primitive_desc desc(d, attributes(), engine(), forward);
      e.primitive = dnnl::convolution_backward_data(desc);
      e.weight = desc.weights_desc();
      e.scratchpad = desc.scratchpad_desc();
      break;
    }
    case Pass::weights: {
      const auto d =
          describe<dnnl::convolution_backward_weights::desc>(s, e.x, any, e.y, key.bias ? &e.bias : nullptr);
      const dnnl::convolution_backward_weights::primitive_desc desc(d, attributes(), engine(), forward);
      e.primitive = dnnl::convolution_backward_weights(desc);
      e.weight = desc.diff_weights_desc();
      e.scratchpad = desc.scratchpad_desc();
      break;
    }
  }
  return e;
}

/// The entry for a part of the batch. (The cache is a documented exception to "no mutable globals".)
std::shared_ptr<const Entry> entry(Key key, std::int64_t n) {
  static Cache<Key, Entry> cache;
  key.shape.n = n;
  return cache.get(key, make);
}

/// The parts of a batch are of one size but for the last; each size has its entry, and a weight reordered for
/// it.
struct Batch {
  Batch(Pass pass, const ConvShape& s, bool bias)
      : parts(s.n),
        full(entry({pass, bias, s}, parts.step)),
        last(entry({pass, bias, s}, parts.end(parts.count - 1) - parts.begin(parts.count - 1))) {}

  const Entry& of(std::int64_t part) const { return part + 1 == parts.count ? *last : *full; }
  std::int64_t scratchpad() const { return std::max(floats(full->scratchpad), floats(last->scratchpad)); }
  std::int64_t weight() const { return std::max(floats(full->weight), floats(last->weight)); }

  Parts parts;
  std::shared_ptr<const Entry> full, last;
};

/// The weight in the layouts of a batch's entries.
class BlockedWeight {
 public:
  BlockedWeight(const Batch& batch, const float* weight) : plain_(weight), scratch_(2 * batch.weight()) {
    full_ = fill(*batch.full, scratch_.data());
    last_ = batch.last->weight == batch.full->weight ? full_
                                                     : fill(*batch.last, scratch_.data() + batch.weight());
  }
  const float* of(const Batch& batch, std::int64_t part) const {
    return part + 1 == batch.parts.count ? last_ : full_;
  }

 private:
  const float* fill(const Entry& e, float* to) {
    if (!e.reorders()) return plain_;
    reorder(e.plain_weight, plain_, e.weight, to);
    return to;
  }

  const float* plain_;
  Scratch scratch_;
  const float* full_;
  const float* last_;
};

void execute(const Entry& e, std::unordered_map<int, memory>& arguments, float* scratchpad) {
  arguments.emplace(DNNL_ARG_SCRATCHPAD, view(e.scratchpad, scratchpad));
  dnnl::stream stream(engine());
  e.primitive.execute(stream, arguments);
  stream.wait();
}

}  // namespace

void conv_forward(const ConvShape& s, const float* x, const float* weight, const float* bias, Clamp clamp,
                  float* y) {
  const Batch batch(Pass::forward, s, bias != nullptr);
  const BlockedWeight blocked(batch, weight);
  const Scratch scratch(batch.parts.count * batch.scratchpad());
  batch.parts.run([&](std::int64_t part) {
    const SingleThreaded scope;
    const Entry& e = batch.of(part);
    const std::int64_t n = batch.parts.begin(part);
    std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, view(e.x, x + n * s.x_image())},
                                              {DNNL_ARG_WEIGHTS, view(e.weight, blocked.of(batch, part))},
                                              {DNNL_ARG_DST, view(e.y, y + n * s.y_image())}};
    if (bias != nullptr) arguments.emplace(DNNL_ARG_BIAS, view(e.bias, bias));
    execute(e, arguments, scratch.data() + part * batch.scratchpad());
    reference::clamp(clamp, (batch.parts.end(part) - n) * s.y_image(), y + n * s.y_image());
  });
}

void conv_backward_data(const ConvShape& s, const float* dy, const float* weight, float* dx) {
  const Batch batch(Pass::data, s, false);
  const BlockedWeight blocked(batch, weight);
  const Scratch scratch(batch.parts.count * batch.scratchpad());
  batch.parts.run([&](std::int64_t part) {
    const SingleThreaded scope;
    const Entry& e = batch.of(part);
    const std::int64_t n = batch.parts.begin(part);
    std::unordered_map<int, memory> arguments{{DNNL_ARG_DIFF_DST, view(e.y, dy + n * s.y_image())},
                                              {DNNL_ARG_WEIGHTS, view(e.weight, blocked.of(batch, part))},
                                              {DNNL_ARG_DIFF_SRC, view(e.x, dx + n * s.x_image())}};
    execute(e, arguments, scratch.data() + part * batch.scratchpad());
  });
}

void conv_backward_weights(const ConvShape& s, const float* x, const float* dy, float* dweight,
                           float* dbias) {
  const Batch batch(Pass::weights, s, dbias != nullptr);
  // A part's gradients: the weight's as oneDNN lays it out and plain, and the bias'.
  const std::int64_t plain = batch.weight(), bias = plain + floats(batch.full->plain_weight);
  const std::int64_t part_floats = bias + (s.o + 15) / 16 * 16 + batch.scratchpad();
  const Scratch scratch(batch.parts.count * part_floats);
  batch.parts.run([&](std::int64_t part) {
    const SingleThreaded scope;
    const Entry& e = batch.of(part);
    const std::int64_t n = batch.parts.begin(part);
    float* const buffer = scratch.data() + part * part_floats;
    float* const blocked = e.reorders() ? buffer : buffer + plain;
    std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, view(e.x, x + n * s.x_image())},
                                              {DNNL_ARG_DIFF_DST, view(e.y, dy + n * s.y_image())},
                                              {DNNL_ARG_DIFF_WEIGHTS, view(e.weight, blocked)}};
    if (dbias != nullptr) arguments.emplace(DNNL_ARG_DIFF_BIAS, view(e.bias, buffer + bias));
    execute(e, arguments, buffer + part_floats - batch.scratchpad());
    if (e.reorders()) reorder(e.weight, buffer, e.plain_weight, buffer + plain);
  });
  const auto add_up = [&](std::int64_t offset, std::int64_t begin, std::int64_t end, float* out) {
    const float* from = scratch.data() + offset;
    std::copy(from + begin, from + end, out + begin);
    for (std::int64_t part = 1; part < batch.parts.count; ++part)
      for (std::int64_t i = begin; i < end; ++i) out[i] += from[part * part_floats + i];
  };
  if (dweight != nullptr)
    parallel_for(s.weights(), 8192,
                 [&](std::int64_t begin, std::int64_t end) { add_up(plain, begin, end, dweight); });
  if (dbias != nullptr) add_up(bias, 0, s.o, dbias);
}

}  // namespace lathe::kernels::onednn
