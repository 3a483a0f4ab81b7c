"""PyTorch's side of compare.py: answers the requests that serve.h describes.

    torch_peer.py run MODEL CHECKPOINT IMAGES
    torch_peer.py train MODEL THREADS IMAGES LABELS
"""
import statistics
import sys
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import networks

BATCH = 128


class Pad(nn.Module):
    """What TensorFlow's padding "same" adds when the two sides differ; a convolution pads both alike."""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.sides = [before, after, before, after]

    def forward(self, x):
        return F.pad(x, self.sides)


def build(model, weights=None):
    """With `weights` (batch norm folded in) for inference, else fresh and for training."""
    layers, size = [], networks.IMAGE
    for layer in networks.MODELS[model]:
        if isinstance(layer, networks.Conv):
            before, after = layer.padding(size)
            if before != after:
                layers.append(Pad(before, after))
            normalise = layer.batch_norm and weights is None
            conv = nn.Conv2d(layer.inputs, layer.outputs, layer.kernel, layer.stride, before if before == after else 0,
                             groups=layer.groups, bias=not normalise)
            layers.append(conv)
            if normalise:
                layers.append(nn.BatchNorm2d(layer.outputs, eps=networks.EPSILON, momentum=0.1))
            layers.append(nn.ReLU(inplace=True))
            size = (size + before + after - layer.kernel) // layer.stride + 1
        elif layer == networks.MAX_POOL:
            layers.append(nn.MaxPool2d(2))
            size //= 2
        elif layer == networks.GLOBAL_POOL:
            layers.append(nn.AdaptiveAvgPool2d(1))
        elif layer == networks.FLATTEN:
            layers.append(nn.Flatten())
        elif layer == networks.DROPOUT:
            layers.append(nn.Dropout(0.5))
        else:
            layers.append(nn.Linear(layer.inputs, layer.outputs))
        if weights is not None and isinstance(layer, (networks.Conv, networks.Linear)):
            module = next(m for m in reversed(layers) if isinstance(m, (nn.Conv2d, nn.Linear)))
            for parameter, value in zip((module.weight, module.bias), weights[layer.name]):
                parameter.data = torch.from_numpy(value.copy())
    return nn.Sequential(*layers)


CLOCKS = {"time": time.perf_counter_ns, "cpu": time.process_time_ns}


def clock(run, prepare, count, now=time.perf_counter_ns):
    """Warms up, then times `count` runs; prepare(i) goes before run i and is not timed."""
    for i in range(max(count // 5, 10)):
        prepare(i)
        run()
    times = []
    for i in range(count):
        prepare(i)
        begin = now()
        run()
        times.append(now() - begin)
    return times


def fastest(model, image):
    """The ways in which PyTorch runs a model, tried on `image`; the name and the model of the fastest."""
    ways = {}
    for name, layout in (("", torch.contiguous_format), (" channels_last", torch.channels_last)):
        plain = model.to(memory_format=layout)
        ways["eager" + name] = plain
        frozen = torch.jit.freeze(torch.jit.script(plain))
        ways["frozen" + name] = frozen
        ways["optimize_for_inference" + name] = torch.jit.optimize_for_inference(frozen)
    times = {name: statistics.median(clock(lambda: way(image), lambda i: None, 500)) for name, way in ways.items()}
    best = min(times, key=times.get)
    return best, ways[best]


@torch.inference_mode()
def serve(model, checkpoint, images_path):
    torch.set_num_threads(1)
    images = torch.from_numpy(np.fromfile(images_path, np.float32).reshape(-1, 1, 1, networks.IMAGE, networks.IMAGE))
    weights = networks.folded_weights(model, networks.read_checkpoint(checkpoint))
    image = images[0].clone()
    way, network = fastest(build(model, weights).eval(), image)
    print(way, flush=True)
    outputs = torch.empty(len(images), 10)

    def loop():
        for i in range(len(images)):
            image.copy_(images[i])
            outputs[i] = network(image)[0]

    for line in sys.stdin:
        request, *words = line.split()
        if request in CLOCKS:
            print(*clock(lambda: network(image), lambda i: image.copy_(images[i % len(images)]), int(words[0]), CLOCKS[request]),
                  flush=True)
        elif request == "loop":
            begin = time.process_time_ns()
            loop()
            print(time.process_time_ns() - begin, flush=True)
        elif request == "outputs":
            loop()
            outputs.numpy().tofile(words[0])
            print("ok", flush=True)
        else:
            sys.exit(f"unknown request: {line}")


def train(name, threads, images_path, labels_path):
    torch.set_num_threads(int(threads))
    model = build(name).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    labels = torch.from_numpy(np.fromfile(labels_path, np.int32)).long()
    images = torch.from_numpy(np.fromfile(images_path, np.float32).reshape(-1, 1, networks.IMAGE, networks.IMAGE))
    image_batch = torch.empty(BATCH, 1, networks.IMAGE, networks.IMAGE).to(memory_format=torch.channels_last)
    label_batch = torch.empty(BATCH, dtype=torch.long)

    def load(step):
        first = step % (len(labels) // BATCH) * BATCH
        image_batch.copy_(images[first:first + BATCH])
        label_batch.copy_(labels[first:first + BATCH])

    def step():
        F.cross_entropy(model(image_batch), label_batch).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    print("channels_last", flush=True)
    for line in sys.stdin:
        request, count = line.split()
        print(*clock(step, load, int(count), CLOCKS[request]), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "run":
        serve(*sys.argv[2:])
    else:
        train(*sys.argv[2:])
