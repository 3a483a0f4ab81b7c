#include "prepare.h"

namespace lathe::runtime {

namespace {

/// Kernel, stride and padding of an op, by the names of graph/op.h.
struct Walk {
  std::int64_t kernel_h, kernel_w;
  std::int32_t stride_h, stride_w;
  graph::Padding padding;
};

Window2d window_of(const Site& site, const Walk& walk, std::int64_t out_channels) {
  const Shape& in = site.input_shape(0);
  const std::string_view op = graph::name(site.op);
  const graph::Window h = graph::slide(op, in[1], walk.kernel_h, walk.stride_h, walk.padding);
  const graph::Window w = graph::slide(op, in[2], walk.kernel_w, walk.stride_w, walk.padding);
  return {.batch = narrow(in[0]),
          .in_h = narrow(in[1]),
          .in_w = narrow(in[2]),
          .in_c = narrow(in[3]),
          .out_h = narrow(h.out),
          .out_w = narrow(w.out),
          .out_c = narrow(out_channels),
          .kernel_h = narrow(walk.kernel_h),
          .kernel_w = narrow(walk.kernel_w),
          .stride_h = walk.stride_h,
          .stride_w = walk.stride_w,
          .pad_top = narrow(h.before),
          .pad_left = narrow(w.before)};
}

template <typename PoolOp>
Window2d pool_window(const Site& site, const PoolOp& op) {
  return window_of(site, {op.kernel_h, op.kernel_w, op.stride_h, op.stride_w, op.padding},
                   site.input_shape(0)[3]);
}

std::int64_t rows(const Window2d& window) { return std::int64_t{window.batch} * window.out_h; }

}  // namespace

ConvSite conv_site(const Site& site) {
  const Shape& weight = site.input(1).shape;
  if (const auto* linear = std::get_if<graph::Linear>(&site.op)) {
    const Window2d window{
        .batch = narrow(site.input_shape(0)[0]), .in_c = narrow(weight[1]), .out_c = narrow(weight[0])};
    return {.window = window, .activation = linear->activation};
  }
  const auto& conv = std::get<graph::Conv2d>(site.op);
  return {.window =
              window_of(site, {weight[1], weight[2], conv.stride_h, conv.stride_w, conv.padding}, weight[0]),
          .groups = conv.groups,
          .activation = conv.activation};
}

bool prepare_conv_f32(const Site& site, Store& store, Prepared& prepared) {
  const ConvSite conv = conv_site(site);
  ConvF32 params{.window = conv.window, .groups = conv.groups};
  params.weight = store.copy(constant<float>(site, 1));
  params.bias = site.size() > 2 ? store.copy(constant<float>(site, 2)) : nullptr;
  params.clamp = clamp_of(conv.activation);
  prepared = {.params = store.keep(params), .units = rows(conv.window)};
  return true;
}

bool prepare_conv_i8(const Site& site, Store& store, Prepared& prepared) {
  const ConvSite conv = conv_site(site);
  ConvI8 params{.window = conv.window, .groups = conv.groups, .in_zero_point = zero_point_of(site.input(0))};
  params.weight = store.copy(constant<std::int8_t>(site, 1));
  params.bias = site.size() > 2 ? store.copy(constant<std::int32_t>(site, 2)) : nullptr;
  params.rescale = rescale_of(site, conv.activation, store);
  prepared = {.params = store.keep(params), .units = rows(conv.window)};
  return true;
}

bool prepare_pool(const Site& site, Store& store, Prepared& prepared) {
  Pool params;
  if (const auto* max = std::get_if<graph::MaxPool2d>(&site.op)) {
    params.window = pool_window(site, *max);
  } else if (const auto* average = std::get_if<graph::AvgPool2d>(&site.op)) {
    params.window = pool_window(site, *average);
  } else {
    const Shape& in = site.input_shape(0);
    params.window = {
        .batch = narrow(in[0]), .in_h = narrow(in[1]), .in_w = narrow(in[2]), .in_c = narrow(in[3])};
    params.window.kernel_h = params.window.in_h;
    params.window.kernel_w = params.window.in_w;
    params.window.out_c = params.window.in_c;
  }
  prepared = {.params = store.keep(params), .units = rows(params.window)};
  return true;
}

Rescale global_pool_rescale(const Site& site, std::int32_t pixels, Store& store) {
  const FixedFactor factor = to_fixed(scale_of(site.input(0)) / (scale_of(site.result()) * pixels));
  return {.multiplier = store.keep(factor.multiplier),
          .exponent = store.keep(factor.exponent),
          .zero_point = zero_point_of(site.result())};
}

bool prepare_global_pool_i8(const Site& site, Store& store, Prepared& prepared) {
  const Shape& in = site.input_shape(0);
  GlobalAvgPoolI8 params{.pixels = narrow(in[1] * in[2]), .channels = narrow(in[3])};
  params.in_zero_point = zero_point_of(site.input(0));
  params.rescale = global_pool_rescale(site, params.pixels, store);
  prepared = {.params = store.keep(params), .units = in[0]};
  return true;
}

}  // namespace lathe::runtime
