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
  memory::data_type type;  ///< of what is multiplied; results are f32
  ConvShape shape;

  auto fields() const {
    const ConvShape& s = shape;
    return std::array<std::int64_t, 17>{static_cast<std::int64_t>(pass),
                                        bias,
                                        static_cast<std::int64_t>(type),
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

/// A primitive and the layouts it wants. x and y are NHWC, the weight is in a layout of its choice. `reorder`
/// brings an f32 weight there, or its gradient back.
struct Entry {
  dnnl::primitive primitive, reorder;
  memory::desc x, y, weight, bias, plain_weight, scratchpad;

  bool reorders() const { return weight != plain_weight; }
  void run_reorder(const void* from, void* to, bool back) const {
    const SingleThreaded scope;
    dnnl::stream stream(engine());
    reorder.execute(stream, {{DNNL_ARG_FROM, view(back ? weight : plain_weight, from)},
                             {DNNL_ARG_TO, view(back ? plain_weight : weight, to)}});
    stream.wait();
  }
};

memory::desc activation(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c,
                        memory::data_type type) {
  return {{n, c, h, w}, type, Tag::nhwc};
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

dnnl::convolution_forward::primitive_desc forward_desc(const Key& key, const memory::desc& x,
                                                       const memory::desc& weight, const memory::desc& y,
                                                       const memory::desc& bias) {
  const auto d = describe<dnnl::convolution_forward::desc>(
      key.shape, x, weight, y, key.bias ? &bias : nullptr, dnnl::prop_kind::forward_training);
  return {d, attributes(), engine()};
}

Entry make(const Key& key) {
  constexpr auto kF32 = memory::data_type::f32;
  const ConvShape& s = key.shape;
  const auto type_of = [&](Pass result) { return key.pass == result ? kF32 : key.type; };
  Entry e;
  e.x = activation(s.n, s.h, s.w, s.c, type_of(Pass::data));
  e.y = activation(s.n, s.out_h, s.out_w, s.o, type_of(Pass::forward));
  e.bias = memory::desc({s.o}, kF32, Tag::x);
  e.plain_weight = {weight_dims(s), kF32, s.groups == 1 ? Tag::ohwi : Tag::gohwi};
  const memory::desc any{weight_dims(s), type_of(Pass::weights), Tag::any};
  // Of a backward pass: what it is the gradient of.
  const auto forward =
      forward_desc(key, activation(s.n, s.h, s.w, s.c, key.type), {weight_dims(s), key.type, Tag::any},
                   activation(s.n, s.out_h, s.out_w, s.o, kF32), e.bias);
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
  if (!e.reorders()) return e;
  const bool back = key.pass == Pass::weights;
  e.reorder = dnnl::reorder(dnnl::reorder::primitive_desc(engine(), back ? e.weight : e.plain_weight,
                                                          engine(), back ? e.plain_weight : e.weight));
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
  Batch(Pass pass, const ConvShape& s, bool bias, memory::data_type type)
      : parts(s.n),
        full(entry({pass, bias, type, s}, parts.step)),
        last(entry({pass, bias, type, s}, parts.end(parts.count - 1) - parts.begin(parts.count - 1))) {}

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
  const void* of(const Batch& batch, std::int64_t part) const {
    return part + 1 == batch.parts.count ? last_ : full_;
  }

 private:
  const void* fill(const Entry& e, float* to) {
    if (!e.reorders()) return plain_;
    e.run_reorder(plain_, to, false);
    return to;
  }

  const float* plain_;
  Scratch scratch_;
  const void* full_;
  const void* last_;
};

void execute(const Entry& e, std::unordered_map<int, memory>& arguments, float* scratchpad) {
  arguments.emplace(DNNL_ARG_SCRATCHPAD, view(e.scratchpad, scratchpad));
  dnnl::stream stream(engine());
  e.primitive.execute(stream, arguments);
  stream.wait();
}

}  // namespace

template <typename T>
void conv_forward(const ConvShape& s, const T* x, const float* weight, const float* bias, Clamp clamp,
                  float* y) {
  const Batch batch(Pass::forward, s, bias != nullptr, kType<T>);
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

template <typename T>
void conv_backward_data(const ConvShape& s, const T* dy, const float* weight, float* dx) {
  const Batch batch(Pass::data, s, false, kType<T>);
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

template <typename T>
void conv_backward_weights(const ConvShape& s, const T* x, const T* dy, float* dweight, float* dbias) {
  const Batch batch(Pass::weights, s, dbias != nullptr, kType<T>);
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
    if (e.reorders()) e.run_reorder(buffer, buffer + plain, true);
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

template void conv_forward(const ConvShape&, const float*, const float*, const float*, Clamp, float*);
template void conv_forward(const ConvShape&, const Bf16*, const float*, const float*, Clamp, float*);
template void conv_backward_data(const ConvShape&, const float*, const float*, float*);
template void conv_backward_data(const ConvShape&, const Bf16*, const float*, float*);
template void conv_backward_weights(const ConvShape&, const float*, const float*, float*, float*);
template void conv_backward_weights(const ConvShape&, const Bf16*, const Bf16*, float*, float*);

}  // namespace lathe::kernels::onednn
