#include "onednn_layers.h"

#include "../core/kernels/onednn/common.h"

#include <memory>
#include <optional>
#include <unordered_map>

namespace bench {
namespace {

using dnnl::memory;
using lathe::Shape;
using lathe::kernels::onednn::engine;
using Tag = memory::format_tag;
using Type = memory::data_type;

/// A primitive and the memory it works on.
struct Prepared {
  dnnl::primitive primitive;
  std::unordered_map<int, memory> arguments;
  dnnl::stream stream{engine()};

  void run() {
    primitive.execute(stream, arguments);
    stream.wait();
  }
};

template <typename Desc>
std::shared_ptr<Prepared> prepare(const Desc& desc) {
  auto prepared = std::make_shared<Prepared>();
  prepared->primitive = dnnl::primitive(desc);
  for (const auto& [argument, layout] :
       {std::pair(DNNL_ARG_SRC, desc.src_desc()), std::pair(DNNL_ARG_WEIGHTS, desc.weights_desc()),
        std::pair(DNNL_ARG_BIAS, desc.bias_desc()), std::pair(DNNL_ARG_DST, desc.dst_desc())}) {
    memory buffer(layout, engine());
    std::fill_n(static_cast<std::byte*>(buffer.get_data_handle()), layout.get_size(), std::byte{0});
    prepared->arguments.emplace(argument, buffer);
  }
  return prepared;
}

dnnl::primitive_attr attributes(bool relu, bool integers) {
  dnnl::primitive_attr attributes;
  if (integers) attributes.set_output_scales(0, {0.01f});
  dnnl::post_ops after;
  if (relu) after.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
  attributes.set_post_ops(after);
  return attributes;
}

std::shared_ptr<Prepared> convolution(const lathe::graph::Conv2d& op, const Shape& x, const Shape& weight,
                                      const Shape& y, bool integers) {
  const auto rows = lathe::graph::slide(op.kName, x[1], weight[1], op.stride_h, op.padding);
  const auto columns = lathe::graph::slide(op.kName, x[2], weight[2], op.stride_w, op.padding);
  const memory::dims strides{op.stride_h, op.stride_w}, before{rows.before, columns.before};
  const memory::dims after{(y[1] - 1) * op.stride_h + weight[1] - x[1] - rows.before,
                           (y[2] - 1) * op.stride_w + weight[2] - x[2] - columns.before};
  const std::int64_t g = op.groups;
  const memory::dims weight_dims = g == 1 ? memory::dims{weight[0], weight[3], weight[1], weight[2]}
                                          : memory::dims{g, weight[0] / g, weight[3], weight[1], weight[2]};
  const memory::desc in({x[0], x[3], x[1], x[2]}, integers ? Type::u8 : Type::f32, Tag::nhwc);
  const memory::desc out({y[0], y[3], y[1], y[2]}, integers ? Type::s8 : Type::f32, Tag::nhwc);
  const memory::desc weights(weight_dims, integers ? Type::s8 : Type::f32, Tag::any);
  const memory::desc bias({weight[0]}, integers ? Type::s32 : Type::f32, Tag::x);
  const dnnl::convolution_forward::desc desc(dnnl::prop_kind::forward_inference,
                                             dnnl::algorithm::convolution_direct, in, weights, bias, out,
                                             strides, before, after);
  const bool relu = op.activation == lathe::graph::Activation::relu;
  return prepare(dnnl::convolution_forward::primitive_desc(desc, attributes(relu, integers), engine()));
}

std::shared_ptr<Prepared> linear(const Shape& x, const Shape& weight, bool integers) {
  const memory::desc in({x[0], x[1]}, integers ? Type::u8 : Type::f32, Tag::nc);
  const memory::desc out({x[0], weight[0]}, integers ? Type::s8 : Type::f32, Tag::nc);
  const memory::desc weights({weight[0], weight[1]}, integers ? Type::s8 : Type::f32, Tag::any);
  const memory::desc bias({weight[0]}, integers ? Type::s32 : Type::f32, Tag::x);
  const dnnl::inner_product_forward::desc desc(dnnl::prop_kind::forward_inference, in, weights, bias, out);
  return prepare(dnnl::inner_product_forward::primitive_desc(desc, attributes(false, integers), engine()));
}

}  // namespace

OneDnnLayer onednn_layer(const lathe::graph::Graph& graph) {
  const lathe::kernels::onednn::SingleThreaded scope;
  if (graph.nodes().size() != 1) return {};
  const lathe::graph::Node& node = graph.nodes()[0];
  if (node.inputs.size() < 2) return {};
  const lathe::graph::Value &x = graph.value(node.inputs[0]), &weight = graph.value(node.inputs[1]);
  const bool integers = x.dtype == lathe::Dtype::i8;
  if (!integers && x.dtype != lathe::Dtype::f32) return {};
  std::shared_ptr<Prepared> prepared;
  if (const auto* conv = std::get_if<lathe::graph::Conv2d>(&node.op))
    prepared = convolution(*conv, x.shape, weight.shape, graph.value(node.output).shape, integers);
  else if (std::holds_alternative<lathe::graph::Linear>(node.op))
    prepared = linear(x.shape, weight.shape, integers);
  else
    return {};
  const memory& input = prepared->arguments.at(DNNL_ARG_SRC);
  return {[prepared] { prepared->run(); },
          {static_cast<std::byte*>(input.get_data_handle()), input.get_desc().get_size()}};
}

}  // namespace bench
