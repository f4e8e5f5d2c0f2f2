#!/usr/bin/env python3
"""Cuts a PP-OCR recogniser's CTC head down to blank + printable ASCII.

    cut_head.py SOURCE.onnx TARGET.onnx [DICTIONARY.txt]

The published recognisers choose among thousands of characters; the cards hold printable ASCII. Keeping only those
columns of the last matrix product makes the file and the work smaller and leaves every kept score unchanged, so the
best ASCII character stays the best one; only the probabilities are shared among fewer candidates.

Classes afterwards: 0 is the CTC blank, class k (1..=95) is the character with code point 31 + k, that is ' ' to '~'.

The dictionary is the text file given, or else the model's metadata entry `character`. PaddleOCR's label list is
blank, the dictionary's characters in order, then the space.

Works on the protobuf encoding itself, so it needs nothing but Python. ONNX field numbers: onnx/onnx.proto.
"""

import struct
import sys

ASCII = [chr(c) for c in range(0x20, 0x7F)]


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at


def fields(data):
    """Yields (field number, wire type, value): bytes for length-delimited fields, an int for varints."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = varint(data, at)
        elif wire == 2:
            length, at = varint(data, at)
            value, at = data[at : at + length], at + length
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
            value, at = data[at : at + length], at + length
        else:
            raise ValueError(f"unknown wire type {wire}")
        yield number, wire, value


def number_bytes(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode(number, wire, value):
    head = number_bytes(number << 3 | wire)
    if wire == 0:
        return head + number_bytes(value)
    if wire == 2:
        return head + number_bytes(len(value)) + value
    return head + value


def texts(message, number):
    return [v.decode() for n, _, v in fields(message) if n == number]


def one(message, number):
    return next(v for n, _, v in fields(message) if n == number)


def head_of(graph):
    """Names of the last matrix product's weight and of the bias added to it."""
    nodes = [v for n, _, v in fields(graph) if n == 1]
    constants = {one(v, 8).decode() for n, _, v in fields(graph) if n == 5}
    made_by = {output: node for node in nodes for output in texts(node, 2)}
    name = one(one(graph, 12), 1).decode()
    bias = None
    while True:
        node = made_by[name]
        kind, inputs = one(node, 4).decode(), texts(node, 1)
        fixed = [i for i in inputs if i in constants]
        if kind == "MatMul":
            return fixed[0], bias
        if kind not in ("Softmax", "Identity", "Add"):
            raise ValueError(f"unexpected {kind} between the head and the output")
        if kind == "Add":
            bias = fixed[0]
        name = next(i for i in inputs if i not in constants)


def shape(tensor):
    """The tensor's dimensions, packed or not."""
    dims = [v for n, w, v in fields(tensor) if n == 1 and w == 0]
    packed = [v for n, w, v in fields(tensor) if n == 1 and w == 2]
    for block in packed:
        at = 0
        while at < len(block):
            dim, at = varint(block, at)
            dims.append(dim)
    return dims


def columns(tensor, keep):
    """The tensor with only the columns `keep` of its last dimension."""
    dims = shape(tensor)
    if one(tensor, 2) != 1:
        raise ValueError("the head is not float32")
    raw = one(tensor, 9)
    width = dims[-1]
    rows = len(raw) // (4 * width)
    out = bytearray()
    for row in range(rows):
        for column in keep:
            at = 4 * (row * width + column)
            out += raw[at : at + 4]
    parts = [encode(1, 0, d) for d in dims[:-1] + [len(keep)]]
    for n, w, v in fields(tensor):
        if n not in (1, 9):
            parts.append(encode(n, w, v))
    parts.append(encode(9, 2, bytes(out)))
    return b"".join(parts), width


def with_last_dim(value_info, width, size):
    """A ValueInfoProto whose last dimension, if it is `width`, becomes `size`."""

    def rewrite(message, path):
        parts = []
        dims = [i for i, (n, _, _) in enumerate(fields(message)) if n == 1]
        for i, (n, w, v) in enumerate(fields(message)):
            if path and n == path[0]:
                v = rewrite(v, path[1:])
            elif not path and i == dims[-1] and one(v, 1) == width:
                v = encode(1, 0, size)
            parts.append(encode(n, w, v))
        return b"".join(parts)

    # ValueInfoProto.type -> TypeProto.tensor_type -> Tensor.shape -> its last dim
    return rewrite(value_info, [2, 1, 2])


def cut(model, dictionary):
    graph = one(model, 7)
    if dictionary is None:
        meta = {one(v, 1): one(v, 2) for n, _, v in fields(model) if n == 14}
        dictionary = meta[b"character"].decode()
    characters = dictionary.removesuffix("\n").split("\n")
    labels = ["<blank>"] + characters + [" "]
    missing = [c for c in ASCII if c not in labels]
    if missing:
        raise ValueError(f"not in the dictionary: {missing}")
    keep = [0] + [labels.index(c) for c in ASCII]

    weight, bias = head_of(graph)
    parts = []
    for n, w, v in fields(graph):
        if n == 5 and one(v, 8).decode() in (weight, bias):
            v, width = columns(v, keep)
            if width != len(labels):
                raise ValueError(f"the head has {width} classes, the label list {len(labels)}")
        elif n == 12:
            v = with_last_dim(v, len(labels), len(keep))
        elif n == 13:
            # Shapes of inner values are hints; the ones after the head would now be wrong.
            continue
        parts.append(encode(n, w, v))
    graph = b"".join(parts)

    parts = [encode(n, w, graph if n == 7 else v) for n, w, v in fields(model) if n != 14]
    note = encode(1, 2, b"character") + encode(2, 2, "\n".join(ASCII).encode())
    parts.append(encode(14, 2, note))
    return b"".join(parts), keep


def check(before, after, keep):
    """Every kept column is bit for bit the one it was."""
    tensors = []
    for model in (before, after):
        graph = one(model, 7)
        names = head_of(graph)
        stored = {one(v, 8).decode(): v for n, _, v in fields(graph) if n == 5}
        tensors.append([one(stored[name], 9) for name in names])
    bias_width = len(tensors[0][1]) // 4
    for old, new in zip(*tensors):
        old = struct.unpack(f"<{len(old) // 4}I", old)
        new = struct.unpack(f"<{len(new) // 4}I", new)
        for row in range(len(old) // bias_width):
            for k, column in enumerate(keep):
                if old[row * bias_width + column] != new[row * len(keep) + k]:
                    raise ValueError("a kept column changed")


def main():
    source, target = sys.argv[1:3]
    dictionary = None
    if len(sys.argv) > 3:
        with open(sys.argv[3], encoding="utf-8") as file:  # it has DOS line ends
            dictionary = file.read()
    with open(source, "rb") as file:
        model = file.read()
    small, keep = cut(model, dictionary)
    check(model, small, keep)
    with open(target, "wb") as file:
        file.write(small)


if __name__ == "__main__":
    main()
