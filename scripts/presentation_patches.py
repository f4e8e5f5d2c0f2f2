#!/usr/bin/env python3
"""Draws patches of originals, screens, colour prints and grey copies, photographed by one kind of camera model.

    presentation_patches.py SHEETS FOLDER SEED SHOTS [--tiles N] [--held-out]

SHEETS holds what `training_sheets` of the test kit writes. A shot is one card before one camera; N patches of it, 96 × 96
pixels, stand one after another. Writes shards of 500 shots, `SEED-NNNN.npy` and `SEED-NNNN.jsonl` with a line for each shot.
Shards that are there already are not drawn again. With `--held-out` every shot has what training never sees: fan-like
grounds of the kit or a weave, a demosaic that follows edges, and displays or halftones of their own kinds.
"""

import argparse
import json
import os
import pathlib

import cv2
import numpy as np

from presentation_camera import Camera, scanner_app, simple_photo
from presentation_surface import CLOUDS, Display, LINEAR, Printer, SecurityPrint, Sheets, reflectance, tiled

CLASSES = ["original", "screen", "print", "copy"]
SHARES = [0.44, 0.30, 0.15, 0.11]
SIDE = 96
SHARD = 500
CARD = (85.6, 53.98)
cv2.setNumThreads(0)


def rotation(turn):
    return np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])


def through(m, x, y):
    m = m.astype(np.float32)
    return m[0, 0] * x + m[0, 1] * y, m[1, 0] * x + m[1, 1] * y


class Shot:
    """One card, one way it is presented, one camera; patches of it differ in place and a little in angle."""

    # The light that the camera exposes as white.
    white = 0.95

    def __init__(self, rng, sheets, held_out):
        self.rng = rng
        self.sheet = sheets.pick(rng)
        self.label = int(rng.choice(4, p=SHARES))
        # What is held out: each of a held-out shot's parts with its own chance, but one of them surely.
        parts = np.zeros(3, bool)
        if held_out:
            parts = rng.random(3) < 0.6
            parts[rng.integers(3)] = True
        self.parts = parts
        self.print = SecurityPrint(rng, bool(parts[0])) if parts[0] or rng.random() < 0.6 else None
        self.camera = Camera(rng, bool(parts[1]))
        self.display = Display(rng, bool(parts[2])) if self.label == 1 else None
        scan_app = self.label == 3 and not parts[2] and rng.random() < 0.35
        self.printer = Printer(rng, self.label == 3, bool(parts[2])) if self.label >= 2 and not scan_app else None
        self.flat = False
        if self.label == 0 and rng.random() < 0.1 or self.label >= 2 and rng.random() < 0.25:
            self.scanner()
        self.screenshot = self.label == 0 and not self.flat and rng.random() < 0.06
        final = np.exp(rng.uniform(np.log(4.6), np.log(26)))
        if self.label == 1:
            final = np.exp(rng.uniform(np.log(4.6), np.log(20)))
        # Camera pixels to a millimetre of the card, to a pixel of the display, pixels of the shown photo to a millimetre.
        self.scale = final / self.camera.scale()
        self.pitch = np.exp(rng.uniform(np.log(0.5), np.log(4.0)))
        self.zoom = np.exp(rng.uniform(np.log(0.5), np.log(2.5)))
        self.content = np.exp(rng.uniform(np.log(6), np.log(24)))
        self.content_quality = int(rng.integers(45, 97))
        self.turn = rng.normal(0, 0.08) + (rng.integers(4) * np.pi / 2 if rng.random() < 0.4 else 0)
        if rng.random() < 0.25:
            self.turn = rng.uniform(0, 2 * np.pi)
        self.shown_turn = rng.normal(0, 0.03) if rng.random() < 0.7 else rng.uniform(0, 2 * np.pi)
        self.tilt = rng.normal(0, 0.06, (2, 2))
        self.slope = rng.normal(0, 0.15, 2)
        self.gloss = rng.uniform(0, 0.3) if rng.random() < 0.2 else 0
        self.ink_scale = np.exp(rng.normal(0, 0.12))
        dye = np.eye(3) + rng.normal(0, 0.10, (3, 3))
        self.dye = (dye / dye.sum(1, keepdims=True)).astype(np.float32)

    def scanner(self):
        """A flat-bed scanner instead of a phone."""
        self.flat = True
        c, rng = self.camera, self.rng
        c.kind, c.defocus, c.motion, c.disk = "plain", rng.uniform(0.3, 0.6), 0, False
        c.exposure, c.shot, c.cast = rng.uniform(0.85, 1.0), 1e-5, np.ones(3, np.float32)
        c.read, c.resize, c.reduced = 0.003, 1.0, 1

    def about(self):
        c = self.camera
        about = {"label": CLASSES[self.label], "held_out": [int(p) for p in self.parts], "camera": c.kind, "scale": round(self.scale * c.scale(), 2)}
        if self.display:
            about |= {"display": self.display.layout, "pitch": round(self.pitch * c.scale(), 2), "defocus": round(c.defocus / self.pitch, 2)}
        if self.printer:
            about |= {"printer": self.printer.kind, "dot": round(self.printer.pitch * self.ink_scale * self.scale * c.scale(), 2)}
        return about | {"flat": self.flat, "quality": int(c.quality)}

    def card(self, x, y, density):
        """Light from the original at places in millimetres."""
        light = np.maximum(cv2.transform(reflectance(self.sheet, x, y, density), self.dye), np.float32(0.003))
        return self.print.over(light, x, y, density) if self.print else light

    def photo_of_card(self, x, y, density):
        """Another photo of the card, in grey levels; what is then shown or printed."""
        light = self.card(x, y, density)
        grey = (np.clip(light * 1.05, 0, 1) ** np.float32(1 / 2.2) * 255).astype(np.uint8)
        return simple_photo(grey, self.rng, self.content_quality)

    def tile(self):
        """One patch of the finished picture."""
        c, rng = self.camera, self.rng
        side = c.side(SIDE + 16)
        samples = int(np.clip(np.ceil(3.2 / self.pitch), 3, 5)) if self.display else 3 if self.scale < 10 else 2
        if side > 200:
            samples = min(samples, 3)
        if c.defocus > 1.5:
            samples = 2
        n = side * samples
        at = ((np.arange(n) + 0.5) / samples).astype(np.float32)
        px, py = np.meshgrid(at, at)
        centre = rng.uniform((4, 4), (CARD[0] - 4, CARD[1] - 4))
        # Perspective: each place has its own scale and shear; within it the scale changes a little too.
        shear = np.eye(2) + self.tilt * rng.uniform(-1, 1)
        lean = (rng.normal(0, 0.02, 2) / max(side, 200)).astype(np.float32)
        dx, dy = px - side / 2, py - side / 2
        depth = 1 + lean[0] * dx + lean[1] * dy
        dx, dy = dx / depth, dy / depth
        if self.display:
            light = self.on_display(shear, dx, dy, px, py, centre)
        else:
            m = rotation(self.turn) @ shear / self.scale
            x, y = through(m, dx, dy)
            x, y = x + np.float32(centre[0]), y + np.float32(centre[1])
            light = self.on_paper(x, y, self.scale * samples) if self.label >= 2 else self.card(x, y, self.scale * samples)
        lit = 1 + np.float32(self.slope[0] / 800) * (px - side / 2) + np.float32(self.slope[1] / 800) * (py - side / 2)
        if not self.display:
            light = light * lit[..., None]
            if self.gloss:
                light = light + np.float32(self.gloss) * np.clip(tiled(CLOUDS, px * 0.4 + centre[0] * 9, py * 0.4 + centre[1] * 9), 0, 2)[..., None]
        if self.screenshot:
            picture = c.send(np.ascontiguousarray(simple_photo(self.shrunk(light, samples), rng, 92)[..., ::-1]))
        else:
            picture = c.take(np.ascontiguousarray(light, np.float32), samples, self.white, rng)
        h, w = picture.shape[:2]
        top, left = rng.integers(2, h - SIDE - 1), rng.integers(2, w - SIDE - 1)
        return picture[top : top + SIDE, left : left + SIDE]

    def shrunk(self, light, samples):
        small = cv2.resize(light, None, fx=1 / samples, fy=1 / samples, interpolation=cv2.INTER_AREA)
        return (np.clip(small, 0, 1) ** np.float32(1 / 2.2) * 255).astype(np.uint8)

    def on_display(self, shear, dx, dy, px, py, centre):
        u, v = through(rotation(self.turn) @ shear / self.pitch, dx, dy)
        u0, v0 = np.floor(u.min()) - 3, np.floor(v.min()) - 3
        wide, high = int(u.max() - u0) + 5, int(v.max() - v0) + 5
        # The photo shown has `zoom` display pixels to one of its own.
        density = self.scale / self.pitch / self.zoom
        w, h = int(np.ceil(wide / self.zoom)) + 4, int(np.ceil(high / self.zoom)) + 4
        a, b = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
        x, y = through(rotation(self.shown_turn) / density, a - w / 2, b - h / 2)
        photo = self.photo_of_card(x + np.float32(centre[0]), y + np.float32(centre[1]), density)
        way = cv2.INTER_AREA if self.zoom < 1 else cv2.INTER_CUBIC if self.zoom < 1.6 else LINEAR
        shown = cv2.resize(photo, None, fx=self.zoom, fy=self.zoom, interpolation=way)
        self.white = 0.9
        return self.display.shine(shown, u - np.float32(u0), v - np.float32(v0), px, py)

    def on_paper(self, x, y, sampled):
        # The card as photographed before, then printed at about its own size.
        x0, y0 = x.min() - 0.5, y.min() - 0.5
        density = self.content
        w, h = int((x.max() - x0 + 0.5) * density) + 4, int((y.max() - y0 + 0.5) * density) + 4
        a, b = np.meshgrid(np.arange(w, dtype=np.float32) / np.float32(density) + x0, np.arange(h, dtype=np.float32) / np.float32(density) + y0)
        photo = self.photo_of_card(a, b, density)
        if self.label == 3:
            photo = scanner_app(photo, self.rng, True)
        levels = cv2.remap(photo, (x - x0) * np.float32(density), (y - y0) * np.float32(density), LINEAR)
        if self.printer:
            return self.printer.print(levels, x / np.float32(self.ink_scale), y / np.float32(self.ink_scale), sampled * self.ink_scale)
        # A scanner app's file: no second camera, but what messengers do.
        self.screenshot, self.camera.grey = True, True
        return (levels.astype(np.float32) / 255) ** np.float32(2.2)


def draw_shard(sheets, folder, seed, nth, shots, tiles, held_out):
    index = folder / f"{seed}-{nth:04d}.jsonl"
    if index.exists():
        return
    rng = np.random.default_rng((seed, nth))
    # The kit's fans are kept for the check.
    wanted = (lambda stock: stock == "fan" or rng.random() < 0.3) if held_out else (lambda stock: stock != "fan")
    pool = Sheets(sheets, wanted, rng)
    patches, lines = np.empty((shots, tiles, SIDE, SIDE, 3), np.uint8), []
    for n in range(shots):
        shot = Shot(np.random.default_rng((seed, nth, n)), pool, held_out)
        for t in range(tiles):
            patches[n, t] = shot.tile()
        lines.append(json.dumps(shot.about()))
    np.save(index.with_suffix(".npy"), patches)
    index.with_suffix(".part").write_text("\n".join(lines) + "\n")
    os.replace(index.with_suffix(".part"), index)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sheets", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("seed", type=int)
    parser.add_argument("shots", type=int)
    parser.add_argument("--tiles", type=int, default=3)
    parser.add_argument("--held-out", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for nth in range(-(-options.shots // SHARD)):
        shots = min(SHARD, options.shots - nth * SHARD)
        draw_shard(options.sheets, options.folder, options.seed, nth, shots, options.tiles, options.held_out)


if __name__ == "__main__":
    main()
