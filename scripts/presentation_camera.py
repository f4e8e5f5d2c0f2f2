"""From light to a file: lens, sensor, colour mosaic, noise and its reduction, tone, sharpening, messengers, JPEG."""

import cv2
import numpy as np

# Mosaics as OpenCV names them by the second row's colours.
BILINEAR = cv2.COLOR_BayerBG2RGB
EDGE_AWARE = cv2.COLOR_BayerBG2RGB_EA
# Malvar, He, Cutler (2004): green at red or blue; red or blue at green along and across its row; blue at red.
GREEN_AT = np.float32([[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]]) / 8
ALONG = np.float32([[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]]) / 8
ACROSS = ALONG.T.copy()
OTHER = np.float32([[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]]) / 8


def malvar(raw):
    """Red stands at even rows and columns."""
    green, along, across, other = (cv2.filter2D(raw, -1, k, borderType=cv2.BORDER_REFLECT_101) for k in (GREEN_AT, ALONG, ACROSS, OTHER))
    out = np.empty((*raw.shape, 3), raw.dtype)
    red, green_r, green_b, blue = np.s_[::2, ::2], np.s_[::2, 1::2], np.s_[1::2, ::2], np.s_[1::2, 1::2]
    for at, r, g, b in ((red, raw, green, other), (green_r, along, raw, across), (green_b, across, raw, along), (blue, other, green, raw)):
        out[at + (0,)], out[at + (1,)], out[at + (2,)] = r[at], g[at], b[at]
    return out


def blurred(picture, sigma):
    return cv2.GaussianBlur(picture, (0, 0), float(sigma)) if sigma > 0.15 else picture


def motion_kernel(length, turn):
    side = int(length) | 1
    side = max(side + 2, 3)
    kernel = np.zeros((side * 4, side * 4), np.float32)
    c, half = side * 2, length * 2
    a = (int(c - half * np.cos(turn)), int(c - half * np.sin(turn)))
    b = (int(c + half * np.cos(turn)), int(c + half * np.sin(turn)))
    cv2.line(kernel, a, b, 1.0, 3)
    kernel = cv2.resize(kernel, (side, side), interpolation=cv2.INTER_AREA)
    return kernel / kernel.sum()


def jpeg(picture, quality, halved):
    factor = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420 if halved else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    options = [cv2.IMWRITE_JPEG_QUALITY, int(quality), cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor]
    return cv2.imdecode(cv2.imencode(".jpg", picture, options)[1], cv2.IMREAD_COLOR)


class Camera:
    """One camera and the way of its picture to us; drawn alike for whatever lies before it."""

    def __init__(self, rng, held_out):
        self.kind = "edge" if held_out else str(rng.choice(["bilinear", "malvar", "malvar", "binned", "plain"]))
        self.defocus = rng.uniform(0.25, 0.9) if rng.random() < 0.72 else rng.uniform(0.9, 2.6)
        self.disk = rng.random() < 0.3
        self.motion = rng.uniform(1, 6) if rng.random() < 0.12 else 0
        self.motion_turn = rng.uniform(0, np.pi)
        self.fringe = rng.normal(0, 0.12, (2, 2))
        self.exposure = rng.uniform(0.55, 1.05) if rng.random() < 0.9 else rng.uniform(0.15, 0.4)
        self.gain = np.exp(rng.normal(0, 0.22, 3)).astype(np.float32)
        self.cast = np.exp(rng.normal(0, 0.07, 3)).astype(np.float32)
        self.shot = 10 ** rng.uniform(-4.4, -2.6)
        self.read = 10 ** rng.uniform(-3.5, -2.1)
        leak = rng.uniform(0.02, 0.14)
        matrix = np.eye(3) * (1 - 2 * leak) + leak * (1 - np.eye(3)) * rng.uniform(0.6, 1.4, (3, 3))
        self.mixed = (matrix / matrix.sum(1, keepdims=True)).astype(np.float32)
        self.smooth_colour = rng.uniform(0.6, 2.5) if rng.random() < 0.55 else 0
        self.smooth = rng.choice(["none", "none", "bilateral", "median", "gauss"])
        self.strength = rng.uniform(0.3, 1)
        self.contrast = rng.uniform(-0.15, 0.5)
        self.lift = rng.normal(0, 0.02)
        self.saturation = rng.uniform(0.85, 1.35)
        self.sharpen = rng.uniform(0.2, 1.8) if rng.random() < 0.6 else 0
        self.radius = rng.uniform(0.6, 1.8)
        self.halo = rng.uniform(0.1, 0.5) if rng.random() < 0.2 else 0
        self.first_quality = rng.integers(75, 98)
        self.resize = rng.uniform(0.45, 1.0) if rng.random() < 0.4 else 1.0
        self.filter = int(rng.choice([cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4]))
        self.twice = rng.random() < 0.6
        self.quality = rng.integers(40, 96) if rng.random() < 0.93 else rng.integers(28, 40)
        self.halved = rng.random() < 0.75
        self.reduced = 2 if self.resize == 1.0 and rng.random() < 0.15 else 1
        self.grey = rng.random() < 0.03

    def side(self, wanted):
        """Camera pixels, even, of which a tile of `wanted` pixels of the finished picture comes."""
        return (int(np.ceil(wanted * self.reduced / self.resize)) + 14) // 2 * 2

    def scale(self):
        """Pixels of the finished picture to one of the camera."""
        return self.resize / self.reduced

    def expose(self, light, samples, white, rng):
        """Sensor values after the mosaic is undone, in linear light; `white` is what becomes 1."""
        if self.disk and self.defocus > 0.5:
            r = self.defocus * 1.8 * samples
            side = int(np.ceil(r)) * 2 + 1
            d = np.hypot(*np.mgrid[:side, :side] - side // 2)
            disk = np.clip(r - d + 0.5, 0, 1).astype(np.float32)
            light = cv2.filter2D(light, -1, disk / disk.sum())
        light = blurred(light, max(self.defocus * (0.4 if self.disk else 1), 0.25) * samples)
        if self.motion:
            light = cv2.filter2D(light, -1, motion_kernel(self.motion * samples, self.motion_turn))
        for channel, (dx, dy) in ((0, self.fringe[0] * samples), (2, self.fringe[1] * samples)):
            if abs(dx) + abs(dy) > 0.3:
                m = np.float32([[1, 0, dx], [0, 1, dy]])
                light[..., channel] = cv2.warpAffine(light[..., channel], m, light.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
        seen = cv2.resize(light, None, fx=1 / samples, fy=1 / samples, interpolation=cv2.INTER_AREA)
        seen = cv2.transform(seen * np.float32(self.exposure / white), self.mixed) * self.gain
        return self.develop_raw(seen, rng)

    def develop_raw(self, seen, rng):
        h, w = seen.shape[:2]

        def noisy(x, less=1.0):
            spread = np.sqrt(np.maximum(x, 0) * np.float32(self.shot * less) + np.float32(less * self.read**2))
            return x + rng.standard_normal(x.shape, np.float32) * spread

        if self.kind in ("binned", "plain"):
            out = noisy(seen, 0.4)
        else:
            raw = np.empty((h, w), np.float32)
            raw[::2, ::2], raw[1::2, 1::2] = seen[::2, ::2, 0], seen[1::2, 1::2, 2]
            raw[::2, 1::2], raw[1::2, ::2] = seen[::2, 1::2, 1], seen[1::2, ::2, 1]
            raw = noisy(raw)
            if self.kind == "malvar":
                out = malvar(raw)
            else:
                whole = np.clip(raw * 20000 + 2000, 0, 65535).astype(np.uint16)
                code = EDGE_AWARE if self.kind == "edge" else BILINEAR
                out = (cv2.cvtColor(whole, code).astype(np.float32) - 2000) / 20000
        out = np.minimum(out / self.gain, np.float32(1 / self.gain.max()) + 0.2)
        return cv2.transform(out, np.linalg.inv(self.mixed).astype(np.float32))

    def develop(self, light):
        """Grey levels of a file, blue first as OpenCV has them."""
        x = np.clip(light * self.cast, 0, 1) ** np.float32(1 / 2.2)
        x = cv2.cvtColor(x, cv2.COLOR_RGB2YCrCb)
        y, colour = x[..., 0], x[..., 1:] - np.float32(0.5)
        if self.smooth_colour:
            colour = blurred(colour, self.smooth_colour)
        if self.smooth == "bilateral":
            y = cv2.bilateralFilter(y, 5, 0.1 * self.strength, 1.5)
        elif self.smooth == "median":
            y = (1 - self.strength) * y + self.strength * cv2.medianBlur(y, 3)
        elif self.smooth == "gauss":
            y = blurred(y, 0.9 * self.strength)
        y = y + np.float32(self.contrast) * (y - np.float32(0.5)) * (1 - np.abs(2 * y - 1)) + np.float32(self.lift)
        if self.sharpen:
            y = y + np.float32(self.sharpen) * (y - blurred(y, self.radius))
        if self.halo:
            y = y + np.float32(self.halo) * (y - blurred(y, 10))
        colour = colour * np.float32(0 if self.grey else self.saturation) + np.float32(0.5)
        x = cv2.cvtColor(np.dstack([y, colour]).astype(np.float32), cv2.COLOR_YCrCb2BGR)
        return (np.clip(x, 0, 1) * 255 + 0.5).astype(np.uint8)

    def send(self, picture):
        """Through messengers and files; the finished picture, red first."""
        if self.twice or self.resize < 1:
            picture = jpeg(picture[4:-4, 4:-4], self.first_quality, self.halved)
        if self.resize < 1:
            picture = cv2.resize(picture, None, fx=self.resize, fy=self.resize, interpolation=self.filter)
        picture = jpeg(picture, self.quality, self.halved)
        if self.reduced == 2:
            h, w = picture.shape[:2]
            picture = cv2.resize(picture[: h // 2 * 2, : w // 2 * 2], (w // 2, h // 2), interpolation=cv2.INTER_AREA)
        return picture[..., ::-1]

    def take(self, light, samples, white, rng):
        return self.send(self.develop(self.expose(light, samples, white, rng)))


def simple_photo(picture, rng, quality):
    """What a screen shows or a printer prints: itself a photo of a card, with little ado. Grey levels in and out."""
    x = blurred(picture.astype(np.float32), rng.uniform(0.3, 1.2))
    x += rng.standard_normal(x.shape, np.float32) * np.float32(rng.uniform(0.3, 5))
    if rng.random() < 0.5:
        x += np.float32(rng.uniform(0.3, 1.2)) * (x - blurred(x, 1.0))
    x = np.clip(x, 0, 255).astype(np.uint8)
    return jpeg(np.ascontiguousarray(x[..., ::-1]), quality, True)[..., ::-1]


def scanner_app(picture, rng, grey):
    """A phone's "scan": lit evenly, paper made white, often grey or black and white."""
    x = picture.astype(np.float32)
    if grey:
        x = np.repeat(x @ np.float32([0.3, 0.59, 0.11])[:, None], 3, 2)
    x = x + np.float32(rng.uniform(0.2, 1.5)) * (x - blurred(x, 1.2))
    black, white = rng.uniform(10, 90), rng.uniform(130, 215)
    x = (x - black) / (white - black)
    if rng.random() < 0.25:
        x = x * rng.uniform(2, 6) + rng.uniform(-2.5, -0.5)
    return (np.clip(x, 0, 1) * 255).astype(np.uint8)
