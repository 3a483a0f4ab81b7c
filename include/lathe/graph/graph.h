#pragma once

#include <lathe/base/dtype.h>
#include <lathe/base/function_ref.h>
#include <lathe/base/shape.h>
#include <lathe/graph/op.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace lathe::graph {

/// real = scale * (q - zero_point). One scale for the whole tensor, or one for each index of axis 0 (weights
/// and biases), then with zero_point 0.
struct Quantization {
  std::vector<float> scale;
  std::int32_t zero_point = 0;
  bool operator==(const Quantization&) const = default;
};

/// Bytes of a constant: immutable, shared between graphs, aligned to 64.
class ConstantData {
 public:
  /// Zeroed bytes to be filled by `fill` before anyone else sees them.
  static std::shared_ptr<const ConstantData> make(std::size_t bytes,
                                                  FunctionRef<void(std::span<std::byte>)> fill);
  static std::shared_ptr<const ConstantData> copy(std::span<const std::byte> bytes);

  std::span<const std::byte> bytes() const { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(std::byte* data) const;
  };
  std::unique_ptr<std::byte[], Free> data_;
  std::size_t size_ = 0;
};

/// Index of a value in its graph.
using ValueId = std::int32_t;

/// A tensor of a graph: an input, a constant or the output of one node. Activations have batch size 1 in axis
/// 0; whoever runs the graph chooses the batch.
struct Value {
  std::string name;
  Shape shape;
  Dtype dtype = Dtype::f32;
  std::optional<Quantization> quantization;
  std::shared_ptr<const ConstantData> data;  ///< of a constant, else null

  bool is_constant() const { return data != nullptr; }
  /// A constant's elements. T must match dtype.
  template <typename T>
  std::span<const T> elements() const& {
    const auto bytes = data->bytes();
    return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
  }
};

/// An op applied to values.
struct Node {
  Op op;
  std::vector<ValueId> inputs;
  ValueId output = -1;
  std::string name;  ///< path of the module it came from; may be empty
};

/// A network ready to be transformed, stored and run: values and nodes in an order in which they can be run.
/// Passes take a Graph by value and return a new one (constants are shared, copies are cheap).
class Graph {
 public:
  ValueId add_input(std::string name, Shape shape, Dtype dtype = Dtype::f32);
  /// Copies the elements. Throws Error when their number is not shape.size().
  ValueId add_constant(std::string name, Shape shape, std::span<const float> elements);
  ValueId add_constant(Value value);
  /// Appends a node; its output gets the shape that infer_shape gives. Throws Error on a mismatch, with the
  /// node's name.
  ValueId add_node(Op op, std::vector<ValueId> inputs, std::string name = {}, Dtype output_dtype = Dtype::f32,
                   std::optional<Quantization> quantization = {});
  void set_outputs(std::vector<ValueId> outputs) { outputs_ = std::move(outputs); }

  std::span<const Value> values() const& { return values_; }
  std::span<const Node> nodes() const& { return nodes_; }
  const Value& value(ValueId id) const& { return values_[static_cast<std::size_t>(id)]; }
  Value& value(ValueId id) & { return values_[static_cast<std::size_t>(id)]; }
  std::span<const ValueId> inputs() const& { return inputs_; }
  std::span<const ValueId> outputs() const& { return outputs_; }

  /// The shapes of all values when the inputs have this batch size in axis 0.
  std::vector<Shape> shapes_at(std::int64_t batch) const;

 private:
  ValueId add_value(Value value);

  std::vector<Value> values_;
  std::vector<Node> nodes_;
  std::vector<ValueId> inputs_;
  std::vector<ValueId> outputs_;
};

/// Throws Error, naming the node or value, unless every index exists, nodes come after what they read, each
/// value has one origin, shapes agree with infer_shape and follow the batch, weights do not depend on the
/// inputs, constants have the bytes of their shape, there is an input and an output, training-only ops are
/// absent, and:
///
/// Real ops read and write f32, without quantization parameters; constants among their inputs may be f16. A
/// node is an integer one when its first input is (T is i8 or i16, one for all activations of a node):
/// - i8, u8 and i16 values have parameters: scales positive, finite, not denormal; zero point inside the
///   dtype, 0 for i16; one scale, or for constants one for each index of axis 0 and then zero point 0. Graph
///   inputs are f32, u8 or i8.
/// - quantize: f32 -> T; or u8 -> i8 with the same scale and the zero point less 128. dequantize: T -> f32;
///   or i8 -> u8, likewise.
/// - conv2d, linear: x, y of T (one scale); weight a constant i8 in [-127,127] with one or O scales; bias a
///   constant, i32 with i8 and i64 with i16, whose scales are exactly float(x scale * weight scale), as many
///   as the weight's. Activation none, relu or relu6. i8: 255 * sum|weight| + |bias| of a channel, shifted
///   left by the bits that rescaling with x scale * weight scale / y scale shifts left (frexp exponent, 0 for
///   factors below 1), is less than 2^31: no input overflows 32 bits. i16: 32768 * sum|weight| + |bias| is
///   less than 2^62, the factor less than 2^31.
/// - conv2d, linear with f32 x and y and a constant i8 weight as above quantize x as they run; bias a constant
///   f32, any activation; 255 * sum|weight| of a channel is less than 2^31.
/// - max_pool2d, avg_pool2d, reshape, concat, pad: all inputs and the output of T with the same parameters.
/// - global_avg_pool, multiply: T with own output parameters; 255 * H*W and 255^2, shifted likewise, are less
///   than 2^31 (i8); the factor is less than 2^31 (i16).
/// - add: T, own output parameters, 2 * the larger input scale < 2^20 (i16: 2^30) * output scale; activation
///   none, relu or relu6.
/// - softmax, sigmoid, log_softmax: T, output parameters as fixed_parameters() in quantization.h says.
/// - activate (others): T with own output parameters; with activation none it only rescales.
void verify(const Graph& graph);

/// The part of it that concerns the dtypes and parameters of what one node reads and writes; the shapes are
/// known to agree. Throws Error without the node's name.
void verify_types(const Graph& graph, const Node& node);

/// "node 3 conv1 (conv2d)": how errors speak of a node of this graph.
std::string describe(const Graph& graph, const Node& node);

/// A line per node, e.g. `%5 i8[1,26,26,32] = conv2d(activation=relu) %0 conv1.weight conv1.bias`; stable for
/// golden files.
std::string to_string(const Graph& graph);

/// 2 x multiply-adds of convolutions and linear layers for one sample.
std::int64_t count_flops(const Graph& graph);

}  // namespace lathe::graph
