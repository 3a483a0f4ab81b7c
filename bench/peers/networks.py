"""The bundled models outside of lathe: weights out of its checkpoints, a forward pass in numpy, ONNX files (fp32 and int8).

A model is a list of layers in lathe's names. Weights come as lathe keeps them: [out, height, width, in] of a convolution,
[out, in] of a linear layer, whose inputs are flattened by height, width, channel.
"""
import json
import struct
from dataclasses import dataclass

import numpy as np


@dataclass
class Conv:
    name: str
    inputs: int
    outputs: int
    kernel: int = 3
    stride: int = 1
    same: bool = False  # as TensorFlow pads: what is odd goes to the end
    groups: int = 1
    batch_norm: bool = False
    # ReLU follows each convolution.

    def padding(self, size):
        """Rows before and after an input of `size` rows."""
        if not self.same:
            return 0, 0
        total = max((-(-size // self.stride) - 1) * self.stride + self.kernel - size, 0)
        return total // 2, total - total // 2


@dataclass
class Linear:
    name: str
    inputs: int
    outputs: int


MAX_POOL, GLOBAL_POOL, FLATTEN, DROPOUT = "max_pool", "global_pool", "flatten", "dropout"


def _normalised(name, inputs, outputs, **options):
    return Conv(name, inputs, outputs, same=True, batch_norm=True, **options)


MODELS = {
    "tutorial": [Conv("conv", 1, 12), MAX_POOL, FLATTEN, Linear("linear", 13 * 13 * 12, 10)],
    "conv": [Conv("conv1", 1, 32), MAX_POOL, Conv("conv2", 32, 64), MAX_POOL, FLATTEN, DROPOUT, Linear("linear", 1600, 10)],
    "dscnn": [_normalised("stem", 1, 12, stride=2),
              _normalised("depthwise1", 12, 12, groups=12), _normalised("pointwise1", 12, 16, kernel=1),
              _normalised("depthwise2", 16, 16, groups=16, stride=2), _normalised("pointwise2", 16, 24, kernel=1),
              GLOBAL_POOL, FLATTEN, Linear("linear", 24, 10)],
}
EPSILON = 1e-3  # of batch norm
IMAGE = 28


def read_checkpoint(path):
    """The model's tensors by name, from a .safetensors file."""
    with open(path, "rb") as file:
        content = file.read()
    (length,) = struct.unpack("<Q", content[:8])
    tensors = {}
    for name, entry in json.loads(content[8:8 + length]).items():
        if name.startswith("model."):
            first, last = (8 + length + offset for offset in entry["data_offsets"])
            tensors[name.removeprefix("model.")] = np.frombuffer(content[first:last], "<f4").reshape(entry["shape"])
    return tensors


def folded_weights(model, tensors):
    """name -> (weight, bias) as ONNX and PyTorch order them, batch norm folded in."""
    result, channels, size = {}, 1, IMAGE
    for layer in MODELS[model]:
        if isinstance(layer, Conv):
            weight = tensors[layer.name + ".weight"].transpose(0, 3, 1, 2)
            if layer.batch_norm:
                beta, gamma, mean, variance = (tensors[f"{layer.name}_bn.{part}"]
                                               for part in ("beta", "gamma", "moving_mean", "moving_variance"))
                factor = gamma / np.sqrt(variance + EPSILON)
                weight, bias = weight * factor[:, None, None, None], beta - mean * factor
            else:
                bias = tensors[layer.name + ".bias"]
            channels, size = layer.outputs, (size + sum(layer.padding(size)) - layer.kernel) // layer.stride + 1
            result[layer.name] = np.ascontiguousarray(weight, np.float32), np.ascontiguousarray(bias, np.float32)
        elif layer == MAX_POOL:
            size //= 2
        elif isinstance(layer, Linear):
            weight = tensors[layer.name + ".weight"]
            if layer.inputs != channels:  # flattened pixels: ours by height, width, channel; theirs by channel, height, width
                weight = weight.reshape(-1, size, size, channels).transpose(0, 3, 1, 2).reshape(layer.outputs, -1)
            result[layer.name] = np.ascontiguousarray(weight), tensors[layer.name + ".bias"]
    return result


def steps(model):
    """The layers that do something after training."""
    return [layer for layer in MODELS[model] if layer != DROPOUT]


def forward(model, weights, images):
    """Outputs of every step for images [count, 28, 28], in numpy: slow and plain, for the ranges of activations."""
    x, outputs = images[:, None], []
    for layer in steps(model):
        if isinstance(layer, Conv):
            weight, bias = weights[layer.name]
            padding = layer.padding(x.shape[2])
            x = np.pad(x, ((0, 0), (0, 0), padding, padding))
            windows = np.lib.stride_tricks.sliding_window_view(x, (layer.kernel, layer.kernel), (2, 3))
            windows = windows[:, :, ::layer.stride, ::layer.stride]
            if layer.groups == 1:
                x = np.moveaxis(np.tensordot(windows, weight, ((1, 4, 5), (1, 2, 3))), 3, 1)
            else:
                x = np.einsum("nchwij,cij->nchw", windows, weight[:, 0])
            x = np.maximum(x + bias[:, None, None], 0)
        elif layer == MAX_POOL:
            even = x[:, :, :x.shape[2] // 2 * 2, :x.shape[3] // 2 * 2]
            x = even.reshape(*even.shape[:2], even.shape[2] // 2, 2, -1, 2).max((3, 5))
        elif layer == GLOBAL_POOL:
            x = x.mean((2, 3), keepdims=True)
        elif layer == FLATTEN:
            x = x.reshape(len(x), -1)
        else:
            weight, bias = weights[layer.name]
            x = x @ weight.T + bias
        outputs.append(x)
    return outputs


def calibrate(model, weights, images):
    """Smallest and largest value of the input and of every step's output, 0 included: a list of pairs."""
    ranges = None
    for first in range(0, len(images), 128):
        batch = images[first:first + 128]
        seen = [(min(float(x.min()), 0.0), max(float(x.max()), 0.0)) for x in [batch, *forward(model, weights, batch)]]
        ranges = [(min(a, c), max(b, d)) for (a, b), (c, d) in zip(ranges or seen, seen)]
    return ranges


class _Onnx:
    """A chain of ONNX nodes; each node of the network reads what the one before gave."""

    def __init__(self):
        self.nodes, self.constants, self.last = [], [], "input"

    def constant(self, name, value):
        from onnx import numpy_helper
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind, inputs, output, **attributes):
        from onnx import helper
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def then(self, kind, output, *others, **attributes):
        self.last = self.node(kind, [self.last, *others], output, **attributes)

    def add(self, index, layer, size, parameters):
        """Appends a layer that reads the chain's end; `parameters` names its weight and bias. Rows of its output."""
        name = f"step{index}"
        if isinstance(layer, Conv):
            before, after = layer.padding(size)
            self.then("Conv", name + "_conv", *parameters, kernel_shape=[layer.kernel] * 2, strides=[layer.stride] * 2,
                      pads=[before, before, after, after], group=layer.groups)
            self.then("Relu", name)
            return (size + before + after - layer.kernel) // layer.stride + 1
        if layer == MAX_POOL:
            self.then("MaxPool", name, kernel_shape=[2, 2], strides=[2, 2])
            return size // 2
        if layer == GLOBAL_POOL:
            self.then("GlobalAveragePool", name)
        elif layer == FLATTEN:
            self.then("Flatten", name)
        else:
            self.then("Gemm", name, *parameters, transB=1)
        return 1

    def save(self, path):
        import onnx
        from onnx import helper
        self.then("Identity", "output")
        value = lambda name, shape: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        graph = helper.make_graph(self.nodes, "network", [value("input", [1, 1, IMAGE, IMAGE])], [value("output", [1, 10])],
                                  self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
        model.ir_version = 8
        onnx.checker.check_model(model)
        onnx.save(model, path)


def write_onnx(model, weights, path):
    chain, size = _Onnx(), IMAGE
    for index, layer in enumerate(steps(model)):
        names = []
        if isinstance(layer, (Conv, Linear)):
            names = [chain.constant(f"{layer.name}.{part}", value)
                     for part, value in zip(("weight", "bias"), weights[layer.name])]
        size = chain.add(index, layer, size, names)
    chain.save(path)


def write_onnx_int8(model, weights, ranges, path):
    """QuantizeLinear and DequantizeLinear around every layer (QDQ): activations u8 with one scale, weights i8 with a scale
    for each output channel, biases i32; what ONNX Runtime recommends for x86."""
    chain, size = _Onnx(), IMAGE

    def quantize(name, low, high):
        scale = np.float32((high - low) / 255 or 1)
        parameters = [chain.constant(name + ".scale", scale), chain.constant(name + ".zero", np.uint8(round(-low / scale)))]
        chain.then("QuantizeLinear", name + "_q", *parameters)
        chain.then("DequantizeLinear", name + "_dq", *parameters)
        return scale

    def dequantized(name, codes, scale):
        parameters = [chain.constant(name + ".codes", codes), chain.constant(name + ".scale", scale),
                      chain.constant(name + ".zero", np.zeros(len(scale), codes.dtype))]
        return chain.node("DequantizeLinear", parameters, name, axis=0)

    scale = quantize("input", *ranges[0])
    for index, layer in enumerate(steps(model)):
        names, rearranges = [], layer in (MAX_POOL, FLATTEN)
        if isinstance(layer, (Conv, Linear)):
            weight, bias = weights[layer.name]
            rows = weight.reshape(len(weight), -1)
            of_weight = np.maximum(np.abs(rows).max(1), 1e-12).astype(np.float32) / np.float32(127)
            codes = np.clip(np.rint(rows / of_weight[:, None]), -127, 127).astype(np.int8).reshape(weight.shape)
            of_bias = (of_weight * scale).astype(np.float32)
            names = [dequantized(layer.name + ".weight", codes, of_weight),
                     dequantized(layer.name + ".bias", np.rint(bias / of_bias).astype(np.int32), of_bias)]
        size = chain.add(index, layer, size, names)
        # What only moves numbers keeps their scale.
        low, high = last_range if rearranges and index > 0 else ranges[index + 1]
        last_range = low, high
        scale = quantize(f"step{index}", low, high)
    chain.save(path)
