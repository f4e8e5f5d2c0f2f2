#!/usr/bin/env python3
"""Reads drawn lines with the cut and the uncut recogniser and fails unless both read the same.

    compare_heads.py DIR     called by `models.sh --verify`; DIR holds rec-tiny.onnx and source/rec-tiny.onnx

"The same" means: at every step the best class among blank + printable ASCII is the same one, and its score before
the softmax differs by no more than rounding (seen here as the ratio of its probability to the blank's).
"""

import os
import sys

import numpy
import onnxruntime
from PIL import Image, ImageDraw, ImageFont

LINES = ["3174096112900001", "NIK : 3207145304059286", "NI'MATUL SETYA PERMATA, AJI", "JL. MERDEKA NO.58 RT 014/002", "66.198.235.6-542.000", "Gol. Darah : AB+", "abcdefghijklmnopqrstuvwxyz &%#@!?"]


def drawn(text):
    font = ImageFont.load_default(size=36)
    width = int(font.getlength(text)) + 24
    picture = Image.new("RGB", (width, 48), (215, 228, 240))
    ImageDraw.Draw(picture).text((12, 2), text, fill=(30, 30, 40), font=font)
    pixels = numpy.asarray(picture, dtype=numpy.float32)[:, :, ::-1] / 127.5 - 1
    return numpy.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


def labels(folder):
    with open(os.path.join(folder, "source", "rec-tiny.txt"), encoding="utf-8") as file:
        text = file.read()
    return ["<blank>"] + text.removesuffix("\n").split("\n") + [" "]


def read(classes, alphabet):
    out, last = [], 0
    for k in classes:
        if k not in (0, last):
            out.append(alphabet[k])
        last = k
    return "".join(out)


def main():
    folder = sys.argv[1]
    ascii_labels = ["<blank>"] + [chr(c) for c in range(0x20, 0x7F)]
    options = {"providers": ["CPUExecutionProvider"]}
    whole = onnxruntime.InferenceSession(os.path.join(folder, "source", "rec-tiny.onnx"), **options)
    small = onnxruntime.InferenceSession(os.path.join(folder, "rec-tiny.onnx"), **options)
    names = labels(folder)
    keep = [names.index(c) for c in ascii_labels]
    for text in LINES:
        pixels = drawn(text)
        a = whole.run(None, {"x": pixels})[0][0]
        b = small.run(None, {"x": pixels})[0][0]
        assert b.shape[1] == len(ascii_labels), b.shape
        kept = a[:, keep]
        kept = kept / kept.sum(axis=1, keepdims=True)
        worst = numpy.abs(kept - b).max()
        assert worst < 1e-3, (text, worst)
        best, cut = kept.argmax(axis=1), b.argmax(axis=1)
        assert (best == cut).all(), text
        print(f"{read(cut, ascii_labels)!r} (uncut {read(a.argmax(axis=1), names)!r}), worst difference {worst:.1e}")


if __name__ == "__main__":
    main()
