#!/usr/bin/env python3
"""Puts trained weights into a recogniser, or takes them out of one.

    tuned_weights.py put NETWORK.onnx WEIGHTS.f16 TARGET.onnx
    tuned_weights.py take NETWORK.onnx WEIGHTS.f16

A weights file holds every float tensor of the network with more than one number, in the network's order, as half floats
(IEEE 754 binary16, little end first); before them the SHA-256 of the names and shapes of those tensors, so that weights of
another network are refused. Like cut_head.py it works on the protobuf encoding and needs nothing but Python.
"""

import hashlib
import struct
import sys

from cut_head import encode, fields, one, shape

FLOAT = 1


def trained(number, value):
    """The bytes of a graph's field if that is a tensor that is trained, nothing otherwise."""
    if number != 5 or one(value, 2) != FLOAT:
        return b""
    raw = next((v for n, _, v in fields(value) if n == 9), b"")
    return raw if len(raw) > 4 else b""


def weights_of(graph):
    """The tensors that are trained: name, shape, bytes."""
    for number, _, tensor in fields(graph):
        if raw := trained(number, tensor):
            yield one(tensor, 8), shape(tensor), raw


def fingerprint(graph):
    described = "\n".join(f"{name.decode()} {dims}" for name, dims, _ in weights_of(graph))
    return hashlib.sha256(described.encode()).digest()


def take(model):
    graph = one(model, 7)
    parts = [fingerprint(graph)]
    for name, _, raw in weights_of(graph):
        values = struct.unpack(f"<{len(raw) // 4}f", raw)
        if any(abs(v) > 65504 for v in values):
            raise ValueError(f"{name.decode()} does not fit half floats")
        parts.append(struct.pack(f"<{len(values)}e", *values))
    return b"".join(parts)


def put(model, weights):
    graph = one(model, 7)
    if weights[:32] != fingerprint(graph):
        raise ValueError("the weights are those of another network")
    at, parts = 32, []
    for number, wire, value in fields(graph):
        if raw := trained(number, value):
            count = len(raw) // 4
            numbers = struct.unpack_from(f"<{count}e", weights, at)
            at += 2 * count
            kept = [encode(n, w, v) for n, w, v in fields(value) if n != 9]
            value = b"".join(kept) + encode(9, 2, struct.pack(f"<{count}f", *numbers))
        parts.append(encode(number, wire, value))
    if at != len(weights):
        raise ValueError("the weights have a wrong length")
    graph = b"".join(parts)
    return b"".join(encode(n, w, graph if n == 7 else v) for n, w, v in fields(model))


def main():
    what, network, weights = sys.argv[1:4]
    with open(network, "rb") as file:
        model = file.read()
    if what == "take":
        with open(weights, "wb") as file:
            file.write(take(model))
    else:
        with open(weights, "rb") as file:
            tuned = put(model, file.read())
        with open(sys.argv[4], "wb") as file:
            file.write(tuned)


if __name__ == "__main__":
    main()
