#!/usr/bin/env python3
"""Trains a recogniser further, on lines of drawn cards.

    train_recogniser.py MODEL.onnx OUT.onnx --lines FILE... --check FILE [--minutes N] [--rate R]

MODEL.onnx is a recogniser of models/, the files come from crates/filot-ocr/examples/training_lines.rs. Needs torch, onnx
and numpy; see docs/training.md. Every float tensor of the network but the statistics of its batch normalisations is
trained, with the CTC loss of the lines; what is written is the mean of the last steps' weights.
"""

import argparse
import math
import random
import time

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper

HEIGHT = 48
WIDTH_STEP = 32
MOST_WIDE = 960


class Network(torch.nn.Module):
    """An ONNX graph as PP-OCRv6 recognisers have them, up to the softmax."""

    def __init__(self, model):
        super().__init__()
        graph = model.graph
        self.input = graph.input[0].name
        statistics = {name for node in graph.node if node.op_type == "BatchNormalization" for name in node.input[3:]}
        self.trained, self.fixed, self.names = torch.nn.ParameterDict(), {}, {}
        for tensor in graph.initializer:
            value = torch.from_numpy(numpy_helper.to_array(tensor).copy())
            if value.dtype == torch.float32 and value.numel() > 1 and tensor.name not in statistics:
                key = tensor.name.replace(".", "/")
                self.trained[key] = torch.nn.Parameter(value)
                self.names[tensor.name] = key
            else:
                self.fixed[tensor.name] = value
        self.nodes = []
        for node in graph.node:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            self.nodes.append((node.op_type, list(node.input), list(node.output), attributes))
        assert self.nodes[-1][0] == "Softmax"
        self.nodes.pop()
        self.fuse_gelu()
        # Values are let go after their last use.
        last = {}
        for i, (_, inputs, _, _) in enumerate(self.nodes):
            for name in inputs:
                last[name] = i
        self.drop = [[n for n in set(inputs) if last[n] == i] for i, (_, inputs, _, _) in enumerate(self.nodes)]

    def fuse_gelu(self):
        """x * (erf(x / sqrt 2) + 1) * 0.5, in whatever order, becomes one operation."""
        uses = {}
        for node in self.nodes:
            for name in node[1]:
                uses.setdefault(name, []).append(node)
        made = {node[2][0]: node for node in self.nodes}
        gone = set()
        for node in list(self.nodes):
            if node[0] != "Erf":
                continue
            div = made[node[1][0]]
            x, chain, at = div[1][0], [div, node], node
            while True:
                [at] = uses[at[2][0]]
                chain.append(at)
                if len(chain) == 5:
                    break
            assert [n[0] for n in chain] == ["Div", "Erf", "Add", "Mul", "Mul"], [n[0] for n in chain]
            inputs = [i for n in chain[2:] for i in n[1]]
            half = [float(self.fixed[i]) for i in inputs if i in self.fixed]
            if inputs.count(x) == 1 and sorted(half) == [0.5, 1.0]:
                gone.update(id(n) for n in chain[:-1])
                self.nodes[self.nodes.index(chain[-1])] = ("Gelu", [x], chain[-1][2], {})
        self.nodes = [n for n in self.nodes if id(n) not in gone]

    def forward(self, x):
        values = {self.input: x}

        def value(name):
            if name in values:
                return values[name]
            return self.trained[self.names[name]] if name in self.names else self.fixed[name]

        for (kind, inputs, outputs, a), drop in zip(self.nodes, self.drop):
            v = [value(name) if name else None for name in inputs]
            values[outputs[0]] = self.run(kind, v, a)
            for name in drop:
                values.pop(name, None)
        return values[outputs[0]]

    @staticmethod
    def run(kind, v, a):
        if kind == "Identity":
            return v[0]
        if kind == "Conv":
            top, left, bottom, right = pads(a, v[1].shape[2:])
            x = v[0]
            if (top, left) != (bottom, right):
                x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
            bias = v[2] if len(v) > 2 else None
            return F.conv2d(x, v[1], bias, a.get("strides", 1), (top, left), a.get("dilations", 1), a.get("group", 1))
        if kind == "BatchNormalization":
            return F.batch_norm(v[0], v[3], v[4], v[1], v[2], False, 0.0, a.get("epsilon", 1e-5))
        if kind == "Gelu":
            return F.gelu(v[0])
        if kind == "HardSigmoid":
            return (v[0] * a.get("alpha", 0.2) + a.get("beta", 0.5)).clamp(0, 1)
        if kind in ("AveragePool", "MaxPool"):
            top, left, bottom, right = pads(a, a["kernel_shape"])
            pool = F.avg_pool2d if kind == "AveragePool" else F.max_pool2d
            if (top, left, bottom, right) != (0, 0, 0, 0):
                assert kind == "MaxPool"
                padded = F.pad(v[0], (left, right, top, bottom), value=-math.inf)
                return pool(padded, a["kernel_shape"], a["strides"])
            return pool(v[0], a["kernel_shape"], a.get("strides", 1), ceil_mode=bool(a.get("ceil_mode", 0)))
        if kind == "ReduceMean":
            return v[0].mean(tuple(a["axes"]), bool(a.get("keepdims", 1)))
        if kind == "Squeeze":
            return v[0].squeeze(tuple(a["axes"]))
        if kind == "Unsqueeze":
            x = v[0]
            for axis in sorted(a["axes"]):
                x = x.unsqueeze(axis)
            return x
        if kind == "Transpose":
            return v[0].permute(a["perm"])
        if kind == "Softmax":
            assert a.get("axis", 1) in (-1, v[0].dim() - 1)
            return v[0].softmax(-1)
        if kind == "Shape":
            return torch.tensor(v[0].shape)
        if kind == "Slice":
            x, starts, ends = v[0], v[1].tolist(), v[2].tolist()
            axes = v[3].tolist() if len(v) > 3 and v[3] is not None else range(len(starts))
            for axis, start, end in zip(axes, starts, ends):
                size = x.shape[axis]
                x = x.narrow(axis, start % size if start < 0 else start, max(0, min(end if end >= 0 else end + size, size) - start))
            return x
        if kind == "Concat":
            return torch.cat(v, a["axis"])
        if kind == "Reshape":
            shape = [v[0].shape[i] if n == 0 else n for i, n in enumerate(v[1].tolist())]
            return v[0].reshape(shape)
        simple = {"Add": torch.add, "Mul": torch.mul, "Div": torch.div, "Sub": torch.sub, "Pow": torch.pow,
                  "MatMul": torch.matmul, "Relu": F.relu, "Sigmoid": torch.sigmoid, "Sqrt": torch.sqrt}
        return simple[kind](*v)


def pads(attributes, kernel):
    if attributes.get("auto_pad", b"NOTSET") == b"SAME_UPPER":
        assert all(stride == 1 for stride in attributes.get("strides", [1]))
        return [(k - 1) // 2 for k in kernel] + [k - 1 - (k - 1) // 2 for k in kernel]
    return attributes.get("pads", [0, 0, 0, 0])


class Lines:
    def __init__(self, paths):
        self.entries = []
        for path in paths:
            data = np.memmap(path, np.uint8, "r")
            at = 0
            while at < len(data):
                width, length = int(data[at]) | int(data[at + 1]) << 8, int(data[at + 2])
                text = bytes(data[at + 3 : at + 3 + length])
                start = at + 3 + length
                at = start + width * HEIGHT * 3
                if width <= MOST_WIDE and at <= len(data):
                    self.entries.append((data, start, width, text))

    def batches(self, pixels, dice):
        """Endless batches of strips of one padded width, at most so many pixels wide in all."""
        by_width = {}
        while True:
            order = list(range(len(self.entries)))
            dice.shuffle(order)
            for i in order:
                # Few shapes, for each has kernels made for it.
                own = self.entries[i][2]
                step = WIDTH_STEP if own <= 256 else 3 * WIDTH_STEP
                width = max(HEIGHT, -(-own // step) * step)
                waiting = by_width.setdefault(width, [])
                waiting.append(i)
                if (len(waiting) + 1) * width > pixels:
                    yield width, waiting
                    by_width[width] = []

    def strips(self, width, chosen, dice=None):
        out = np.zeros((len(chosen), 3, HEIGHT, width), np.float32)
        texts = []
        for slot, i in enumerate(chosen):
            data, start, own, text = self.entries[i]
            strip = np.asarray(data[start : start + own * HEIGHT * 3]).reshape(HEIGHT, own, 3)[:, :, ::-1]
            strip = strip.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1.0
            if dice:
                strip = worsened(strip, dice)
            out[slot, :, :, :own] = strip
            texts.append(text)
        # With the channels innermost the convolutions are faster.
        return torch.from_numpy(out).contiguous(memory_format=torch.channels_last), texts


def worsened(strip, dice):
    """A little of what other cameras do: other contrast, light and noise, fewer pixels."""
    if dice.random() < 0.15:
        small = dice.uniform(0.35, 0.8)
        t = torch.from_numpy(np.ascontiguousarray(strip))[None]
        t = F.interpolate(t, scale_factor=small, mode="bilinear", antialias=True)
        strip = F.interpolate(t, size=strip.shape[1:], mode=dice.choice(["bilinear", "bicubic"]))[0].numpy()
    if dice.random() < 0.4:
        strip = strip * dice.uniform(0.6, 1.25) + dice.uniform(-0.25, 0.25)
    if dice.random() < 0.25:
        grain = np.random.default_rng(dice.getrandbits(32)).standard_normal(strip.shape[1:], np.float32)
        strip = strip + dice.uniform(0.02, 0.2) * grain
    return np.clip(strip, -1.0, 1.0)


def targets(texts):
    codes = [[c - 31 for c in text] for text in texts]
    return torch.tensor([c for line in codes for c in line]), torch.tensor([len(c) for c in codes])


def decode(logits):
    best = logits.argmax(-1)
    texts = []
    for row in best.tolist():
        text, previous = bytearray(), 0
        for c in row:
            if c and c != previous:
                text.append(c + 31)
            previous = c
        texts.append(bytes(text))
    return texts


def squeezed(text):
    return text.replace(b" ", b"")


def check(network, lines, most):
    """Share of lines right but for blanks."""
    network.eval()
    right = total = 0
    dice = random.Random(5)
    with torch.no_grad():
        for width, chosen in lines.batches(10000, dice):
            strips, texts = lines.strips(width, chosen)
            for read, text in zip(decode(network(strips)), texts):
                right += squeezed(read) == squeezed(text)
                total += 1
            if total >= most:
                return right / total


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("out")
    parser.add_argument("--lines", nargs="+", required=True)
    parser.add_argument("--check", required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--pixels", type=int, default=10000)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    model = onnx.load(options.model)
    network = Network(model)
    held = Lines([options.check])
    lines = Lines(options.lines)
    print(f"{len(lines.entries)} lines, {len(held.entries)} to check, "
          f"{sum(p.numel() for p in network.parameters())} parameters", flush=True)
    print(f"before: {check(network, held, 2000):.4f}", flush=True)
    optimiser = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=0.01, betas=(0.9, 0.98))
    mean = [p.detach().clone() for p in network.parameters()]
    dice = random.Random(3)
    start, step, seen, sums = time.time(), 0, 0, []
    for width, chosen in lines.batches(options.pixels, dice):
        done = (time.time() - start) / 60 / options.minutes
        if done >= 1:
            break
        rate = options.rate * min(1.0, (step + 1) / 200) * (0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * done)))
        for group in optimiser.param_groups:
            group["lr"] = rate
        strips, texts = lines.strips(width, chosen, dice)
        with torch.autocast("cpu", torch.bfloat16, enabled=options.bf16):
            logits = network(strips)
        logits = logits.float().log_softmax(-1).transpose(0, 1)
        flat, lengths = targets(texts)
        steps = torch.full((len(texts),), logits.shape[0])
        loss = F.ctc_loss(logits, flat, steps, lengths, reduction="none", zero_infinity=True)
        loss = (loss / lengths.clamp(min=4)).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        keep = min(0.999, (step + 1) / (step + 10))
        with torch.no_grad():
            for m, p in zip(mean, network.parameters()):
                m.lerp_(p, 1 - keep)
        step, seen = step + 1, seen + len(texts)
        sums.append(loss.item())
        if step % 200 == 0:
            print(f"step {step}, {seen} lines, {seen / (time.time() - start):.0f}/s, loss {sum(sums) / len(sums):.4f}", flush=True)
            sums = []
        if step % 2000 == 0:
            write(model, network, mean, options.out)
    with torch.no_grad():
        for m, p in zip(mean, network.parameters()):
            p.copy_(m)
    print(f"after {seen} lines: {check(network, held, 2000):.4f}", flush=True)
    write(model, network, mean, options.out)


def write(model, network, mean, path):
    values = dict(zip(network.trained.keys(), mean))
    tuned = onnx.ModelProto()
    tuned.CopyFrom(model)
    for tensor in tuned.graph.initializer:
        if tensor.name in network.names:
            value = values[network.names[tensor.name]].numpy()
            tensor.CopyFrom(numpy_helper.from_array(value.astype(np.float32), tensor.name))
    onnx.save(tuned, path)


if __name__ == "__main__":
    main()
