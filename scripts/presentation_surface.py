"""What a camera sees of a card before its lens: print, paper, halftone dots, a display's pixels. All in linear light.

Places are maps of millimetres on the card or of pixels of a display, one value for each sample of the camera's picture.
"""

import pathlib

import cv2
import numpy as np

SHEET_SCALE = 24.0
TO_LINEAR = ((np.arange(256) / 255.0) ** 2.2).astype(np.float32)
LINEAR = cv2.INTER_LINEAR


class Sheets:
    """Drawn cards at 24, 12 and 6 pixels a millimetre, a few of them in memory."""

    def __init__(self, folder, wanted, rng, keep=24):
        files = sorted(f for f in pathlib.Path(folder).glob("*-*-*.png") if wanted(f.stem.split("-")[-1]))
        chosen = rng.choice(len(files), min(keep, len(files)), replace=False)
        self.levels = []
        for n in chosen:
            sheet = cv2.cvtColor(cv2.imread(str(files[n])), cv2.COLOR_BGR2RGB)
            half = cv2.resize(sheet, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            self.levels.append([sheet, half, cv2.resize(half, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)])

    def pick(self, rng):
        return self.levels[rng.integers(len(self.levels))]


def reflectance(levels, x, y, density):
    """The sheet at places in millimetres, sampled about `density` times a millimetre."""
    level = 0 if density > 17 else 1 if density > 8.5 else 2
    scale = SHEET_SCALE / 2**level
    h, w = levels[level].shape[:2]
    seen = cv2.remap(levels[level], x * scale - 0.5, y * scale - 0.5, LINEAR, borderMode=cv2.BORDER_REFLECT)
    return cv2.LUT(seen, TO_LINEAR)


def noise_tile(rng, side, sigmas):
    """Smooth noise that repeats without a seam, deviation 1."""
    spectrum = np.fft.rfft2(rng.normal(size=(side, side)))
    f2 = np.fft.fftfreq(side)[:, None] ** 2 + np.fft.rfftfreq(side)[None] ** 2
    shape = sum(s * np.exp(-2 * (np.pi * s) ** 2 * f2) for s in sigmas)
    tile = np.fft.irfft2(spectrum * shape, (side, side))
    return ((tile - tile.mean()) / tile.std()).astype(np.float32)


def ranks(tile):
    """Thresholds between 0 and 1, equally many of each."""
    order = np.argsort(np.argsort(tile.ravel()))
    return ((order + 0.5) / order.size).reshape(tile.shape).astype(np.float32)


def blue_tile(rng, side):
    """Thresholds whose dots keep their distance: noise without low frequencies."""
    tile = rng.normal(size=(side, side))
    for _ in range(3):
        spectrum = np.fft.rfft2(tile)
        radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
        tile = ranks(np.fft.irfft2(spectrum * (1 - np.exp(-((radius / 0.28) ** 4))), (side, side))) - 0.5
    return tile + 0.5


FIXED = np.random.default_rng(77)
FIBRES = noise_tile(FIXED, 512, (0.8, 3, 10))
CLOUDS = noise_tile(FIXED, 512, (20, 60))
BLUE = [blue_tile(FIXED, 128).astype(np.float32) for _ in range(4)]
WHITE = [FIXED.random((128, 128)).astype(np.float32) for _ in range(4)]
CELL = np.linspace(0, 2 * np.pi, 32, endpoint=False, dtype=np.float32)
DOT = ranks(np.cos(CELL)[:, None] + np.cos(CELL)[None])
DIAMOND = ranks(np.abs((CELL[:, None] / np.pi) - 1) + np.abs((CELL[None] / np.pi) - 1))
LINES = ranks(np.cos(CELL)[:, None] + 0.02 * np.cos(CELL)[None])


def tiled(tile, x, y):
    """A tile that repeats, at places in its own pixels."""
    side = tile.shape[0]
    padded = np.pad(tile, ((0, 1), (0, 1), (0, 0))[: tile.ndim], mode="wrap")
    return cv2.remap(padded, within(x, side), within(y, side), LINEAR)


def within(x, side):
    """The remainder, faster than the library's."""
    side = np.float32(side)
    return (x - side * np.floor(x * (1 / side))).astype(np.float32)


def line(phase, duty, soft):
    """Ink of lines where `phase` is in turns."""
    return np.clip((np.cos(phase * np.float32(2 * np.pi)) + 2 * duty - 1) / soft + 0.5, 0, 1)


class SecurityPrint:
    """Fine print of a card's ground: one to four layers of lines, fans, arcs, rosettes, weaves, dots, in pale inks."""

    KINDS = ["waves", "waves", "arcs", "fan", "rosette", "dots", "hatch"]

    def __init__(self, rng, held_out):
        self.layers = []
        for _ in range(int(rng.integers(1, 5))):
            kind = "weave" if held_out and not self.layers else str(rng.choice(self.KINDS))
            pitch = float(np.exp(rng.uniform(np.log(0.2), np.log(0.75))))
            if kind == "dots":
                pitch = 25.4 / rng.uniform(150, 400)
            hue = rng.dirichlet((1, 1, 1)) * rng.uniform(0.4, 1.6)
            self.layers.append(
                dict(
                    kind=kind,
                    pitch=pitch,
                    ink=(np.clip(hue, 0, 1) * rng.uniform(0.08, 0.75)).astype(np.float32),
                    turn=rng.uniform(-0.7, 0.7) if rng.random() < 0.7 else rng.uniform(0, np.pi),
                    bend=rng.uniform(0, 2.5),
                    length=rng.uniform(4, 40),
                    at=(rng.uniform(-30, 115), rng.uniform(-40, 95)),
                    petals=int(rng.integers(3, 16)),
                    duty=rng.uniform(0.2, 0.6),
                    soft=rng.uniform(0.3, 1.5),
                    part=rng.uniform(0, 60) if rng.random() < 0.3 else None,
                )
            )

    @staticmethod
    def ink(layer, x, y):
        p = layer["pitch"]
        c, s = np.float32(np.cos(layer["turn"])), np.float32(np.sin(layer["turn"]))
        u, v = x * c + y * s, y * c - x * s
        kind = layer["kind"]
        if kind == "waves":
            return line((v + layer["bend"] * np.sin(u * np.float32(6.283 / layer["length"]))) / p, layer["duty"], layer["soft"])
        if kind == "hatch":
            return np.maximum(line(u / p, 0.3, layer["soft"]), line(v / p, 0.3, layer["soft"]))
        if kind == "dots":
            return np.clip((np.cos(u * np.float32(6.283 / p)) + np.cos(v * np.float32(6.283 / p))) / 1.2 - 0.2, 0, 1)
        if kind == "weave":
            over = np.sin(u * np.float32(3.1416 / p)) * np.sin(v * np.float32(3.1416 / p)) > 0
            return np.where(over, line(u / p * 2, 0.6, 1.0), line(v / p * 2, 0.6, 1.0))
        dx, dy = x - np.float32(layer["at"][0]), y - np.float32(layer["at"][1])
        if kind == "fan":
            return line(np.arctan2(dy, dx) * np.float32(40 / p / 6.283), layer["duty"], layer["soft"])
        r = np.sqrt(dx * dx + dy * dy)
        if kind == "rosette":
            r = r * (1 + 0.12 * np.cos(layer["petals"] * np.arctan2(dy, dx)))
        return line(r / p, layer["duty"], layer["soft"])

    def over(self, light, x, y, density):
        for layer in self.layers:
            shown = np.clip((layer["pitch"] * density - 1.5) / 1.5, 0, 1)
            ink = self.ink(layer, x, y)
            ink = np.float32(shown) * ink + np.float32((1 - shown) * layer["duty"])
            if layer["part"] is not None:
                ink = ink * np.clip((y - np.float32(layer["part"])) / 3, 0, 1)
            light = light * (1 - ink[..., None] * layer["ink"])
        return light


# Transmittance of cyan, magenta, yellow and black ink.
INKS = np.array([[0.06, 0.42, 0.72], [0.62, 0.05, 0.28], [0.92, 0.76, 0.06], [0.03, 0.03, 0.03]], np.float32)


class Printer:
    """Puts a picture on paper: dots of four inks, or of black alone."""

    def __init__(self, rng, grey, held_out):
        self.grey = grey
        kinds = ["dot", "dot", "diamond", "fm", "error"] if not grey else ["dot", "diamond", "error", "none"]
        self.kind = "lines" if held_out else str(rng.choice(kinds))
        lpi = rng.uniform(85, 200)
        self.pitch = 25.4 / (rng.uniform(360, 1200) if self.kind in ("fm", "error") else lpi)
        turn = rng.uniform(-0.05, 0.05)
        self.angles = np.radians([15, 75, 0, 45]) + turn if rng.random() < 0.7 else np.radians([18.4, 71.6, 0, 45]) + turn
        self.shift = rng.uniform(0, 100, (4, 2))
        self.soft = rng.uniform(0.1, 0.5)
        self.gain = rng.uniform(0.75, 1.15)
        self.black = rng.uniform(0.0, 0.8)
        self.inks = np.clip(INKS ** np.exp(rng.normal(0, 0.2, (4, 1))), 0, 1).astype(np.float32)
        # Printers know their inks: how far they take out what each ink absorbs beyond its own third.
        self.managed = np.float32(rng.uniform(0.2, 1.0))
        self.unmix = np.linalg.inv(1 - self.inks[:3]).astype(np.float32)
        self.strength = rng.uniform(0.75, 1.0)
        paper = rng.uniform(0.78, 0.95)
        self.paper = (paper * np.array([1, rng.uniform(0.97, 1.0), rng.uniform(0.92, 1.04)])).astype(np.float32)
        self.fibre = rng.uniform(0.003, 0.03)
        self.banding = rng.uniform(0, 0.06) if self.kind in ("fm", "error") else rng.uniform(0, 0.02)
        self.band = rng.uniform(0.3, 4)
        self.speckle = rng.uniform(0, 0.02)

    def print(self, picture, x, y, density):
        """`picture` is in grey levels of a file, already at the places' samples."""
        if self.grey:
            levels = [None, None, None, 1 - (picture @ np.float32([0.3, 0.59, 0.11])) / 255]
        else:
            tone = 1 - cv2.LUT(picture, TO_LINEAR)
            tone = (1 - self.managed) * tone + self.managed * cv2.transform(tone, self.unmix.T)
            black = self.black * np.clip(tone.min(2) * 1.4 - 0.3, 0, 1)
            levels = [*np.moveaxis(np.clip((tone - black[..., None]) / (1.001 - black[..., None]), 0, 1), 2, 0), black]
        light = np.broadcast_to(self.paper, (*x.shape, 3))
        light = light * (1 + np.float32(self.fibre) * tiled(FIBRES, x * 18, y * 18))[..., None]
        bands = 1 + np.float32(self.banding) * np.sin(y * np.float32(6.283 / self.band))
        visible = np.float32(np.clip(self.pitch * density / 1.3 - 0.5, 0, 1))
        for n, level in enumerate(levels):
            if level is None:
                continue
            level = np.clip(level, 0, 1) ** np.float32(self.gain) * bands
            ink = level if self.kind == "none" else self.dots(n, level, x, y, visible)
            light = light * (1 - ink[..., None] * ((1 - self.inks[n]) * np.float32(self.strength)))
        if self.speckle > 0.004:
            light = np.where((tiled(WHITE[0], x * 11, y * 11) < self.speckle * 0.2)[..., None], light * 0.4, light)
        return light

    def dots(self, n, level, x, y, visible):
        if self.kind in ("fm", "error"):
            tile, scale = (BLUE if self.kind == "fm" else WHITE)[n], 1 / self.pitch
            u, v = x, y
        else:
            tile = {"dot": DOT, "diamond": DIAMOND, "lines": LINES}[self.kind]
            scale = 32 / self.pitch
            c, s = np.float32(np.cos(self.angles[n])), np.float32(np.sin(self.angles[n]))
            u, v = x * c + y * s, y * c - x * s
        threshold = tiled(tile, u * np.float32(scale) + np.float32(self.shift[n, 0]), v * np.float32(scale) + np.float32(self.shift[n, 1]))
        dots = np.clip((level * 1.02 - 0.01 - threshold) / np.float32(self.soft) + 0.5, 0, 1)
        return dots * visible + level * (1 - visible)


def rectangle(mask, channel, x0, y0, x1, y1):
    """Light of one channel inside a rectangle of the 2 × 2 display pixels that the mask shows; sizes in pixels."""
    side = mask.shape[0] / 2
    a, b = np.arange(mask.shape[0]), np.arange(mask.shape[0])
    inside = lambda t, lo, hi: ((t + 0.5) / side - lo) % 2 < hi - lo
    mask[..., channel][np.ix_(inside(b, y0, y1), inside(a, x0, x1))] = 1


def ellipse(mask, channel, cx, cy, rx, ry, diamond):
    side = mask.shape[0] / 2
    t = (np.arange(mask.shape[0]) + 0.5) / side
    dx = np.abs((t - cx + 1) % 2 - 1)[None] / rx
    dy = np.abs((t - cy + 1) % 2 - 1)[:, None] / ry
    mask[..., channel][(dx + dy if diamond else dx**2 + dy**2) < 1] = 1


LAYOUTS = ["rgb", "rgb", "bgr", "rgb_tall", "chevron", "diamond", "diamond", "pentile", "s_stripe"]
LAYOUTS_HELD_OUT = ["delta", "wrgb"]


def subpixels(rng, layout):
    """Where each colour shines in 2 × 2 pixels of a display, mean 1 for each colour."""
    mask = np.zeros((48, 48, 3), np.float32)
    gap, bar = rng.uniform(0.03, 0.10), rng.uniform(0.06, 0.3)
    order = [2, 1, 0] if layout == "bgr" else [0, 1, 2]
    size = rng.uniform(0.75, 1.15)
    for i in (0, 1):
        for j in (0, 1):
            odd = (i + j) % 2
            if layout in ("diamond",):
                ellipse(mask, 2 if odd else 0, i + 0.25, j + 0.25, 0.33 * size, 0.33 * size, True)
                ellipse(mask, 1, i + 0.75, j + 0.75, 0.2 * size, 0.26 * size, False)
            elif layout == "pentile":
                rectangle(mask, 2 if odd else 0, i + gap, j + bar / 2, i + 0.55 - gap, j + 1 - bar / 2)
                rectangle(mask, 1, i + 0.6, j + bar / 2, i + 0.95 - gap, j + 1 - bar / 2)
            elif layout == "s_stripe":
                rectangle(mask, 0, i + gap, j + gap, i + 0.5 - gap, j + 0.5 - gap)
                rectangle(mask, 1, i + gap, j + 0.5 + gap, i + 0.5 - gap, j + 1 - gap)
                rectangle(mask, 2, i + 0.5 + gap, j + gap, i + 1 - gap, j + 1 - gap)
            elif layout == "wrgb":
                for n, channels in enumerate(([0], [0, 1, 2], [2], [1])):
                    for channel in channels:
                        rectangle(mask, channel, i + (n + gap) / 4, j + bar / 2, i + (n + 1 - gap) / 4, j + 1 - bar / 2)
            else:
                shift = 0.5 * j if layout == "delta" else 0
                low = 0.5 * bar if layout != "rgb_tall" else 0.5 * gap
                for n, channel in enumerate(order):
                    rectangle(mask, channel, i + shift + n / 3 + gap / 2, j + low, i + shift + (n + 1) / 3 - gap / 2, j + 1 - low)
    if layout == "chevron":
        lean = rng.uniform(0.2, 0.45)
        for row in range(48):
            mask[row] = np.roll(mask[row], int(round(lean * abs(row - 24))), 0)
    soft = rng.uniform(0.6, 3.0)
    mask = cv2.GaussianBlur(np.tile(mask, (3, 3, 1)), (0, 0), soft)[48:96, 48:96]
    return (mask / mask.mean((0, 1))).astype(np.float32)


class Display:
    """A screen: layout of its subpixels, brightness, black, tint, bands, what its glass reflects."""

    def __init__(self, rng, held_out):
        self.layout = str(rng.choice(LAYOUTS_HELD_OUT if held_out else LAYOUTS))
        self.mask = subpixels(rng, self.layout)
        oled = self.layout in ("diamond", "pentile", "s_stripe", "delta")
        self.black = np.exp(rng.uniform(np.log(0.002 if oled else 0.006), np.log(0.12)))
        self.gamma = rng.uniform(1.9, 2.5)
        self.tint = np.exp(rng.normal(0, 0.06, 3)).astype(np.float32)
        self.band = rng.uniform(15, 600)
        self.band_depth = rng.uniform(0, 0.3) if rng.random() < 0.3 else 0
        self.band_turn = rng.uniform(0, 2 * np.pi) if rng.random() < 0.3 else np.pi / 2
        self.sparkle = rng.uniform(0.02, 0.15) if rng.random() < 0.2 else 0
        self.veil = rng.uniform(0, 0.25) if rng.random() < 0.3 else 0
        self.at = rng.uniform(0, 500, 2)

    def shine(self, picture, u, v, x, y):
        """`picture` holds the display's pixels as a file has them; `u`, `v` places in it, `x`, `y` in camera pixels."""
        light = ((picture.astype(np.float32) / 255) ** np.float32(self.gamma)) * self.tint
        light = cv2.remap(light, np.floor(u), np.floor(v), cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
        side = np.float32(24)
        light *= tiled(self.mask, u * side - 0.5, v * side - 0.5)
        if self.sparkle:
            light *= (1 + np.float32(self.sparkle) * tiled(FIBRES, u * 1.7, v * 1.7))[..., None]
        if self.band_depth:
            along = x * np.float32(np.cos(self.band_turn)) + y * np.float32(np.sin(self.band_turn))
            light *= (1 + np.float32(self.band_depth) * np.sin(along * np.float32(6.283 / self.band)))[..., None]
        light += np.float32(self.black)
        if self.veil:
            light += np.float32(self.veil) * np.clip(0.5 + tiled(CLOUDS, x * 0.3 + self.at[0], y * 0.3 + self.at[1]), 0, 2)[..., None]
        return light
