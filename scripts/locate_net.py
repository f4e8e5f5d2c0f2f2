"""The networks of `locate`: where a card lies in a photo (first look) and how to straighten it better (second look)."""

import torch
import torch.nn as nn
import torch.nn.functional as F

KINDS = ["ktp", "ktp_wna", "npwp_old", "npwp_blue", "npwp_new16", "other_card", "paper", "none"]
# First look: a square picture in which the photo's longer side takes all but a margin on either side.
FIRST_SIDE, FIRST_MARGIN, FIRST_CELL = 192, 10, 8
# Second look: the straightened card with a margin, and how deep the band is in which each side is sought.
SECOND_WIDTH, SECOND_HEIGHT, SECOND_CELL = 256, 192, 4
SECOND_MARGIN_X, SECOND_MARGIN_Y = 26.0, 31.7
BAND = 14


def norm(channels):
    return nn.BatchNorm2d(channels, momentum=0.02)


class Block(nn.Module):
    """A depthwise and a pointwise convolution, with a shortcut where the shape stays."""

    def __init__(self, inner, outer, stride=1):
        super().__init__()
        self.depth = nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False)
        self.depth_norm = norm(inner)
        self.point = nn.Conv2d(inner, outer, 1, bias=False)
        self.point_norm = norm(outer)
        self.short = stride == 1 and inner == outer

    def forward(self, x):
        y = F.relu(self.depth_norm(self.depth(x)))
        y = self.point_norm(self.point(y))
        return F.relu(y + x if self.short else y)


class Trunk(nn.Module):
    """Down to 1/32 and back up to 1/8, or on to 1/4."""

    def __init__(self, widths, fine):
        super().__init__()
        a, b, c, d, e = widths
        self.stem = nn.Sequential(nn.Conv2d(3, a, 3, 2, 1, bias=False), norm(a), nn.ReLU())
        self.quarter = nn.Sequential(Block(a, b, 2), Block(b, b))
        self.eighth = nn.Sequential(Block(b, c, 2), Block(c, c), Block(c, c))
        self.sixteenth = nn.Sequential(Block(c, d, 2), Block(d, d), Block(d, d))
        self.last = nn.Sequential(Block(d, e, 2), Block(e, e), Block(e, e))
        self.from_last = nn.Conv2d(e, d, 1)
        self.mix16 = Block(d, d)
        self.from_16 = nn.Conv2d(d, c, 1)
        self.mix8 = nn.Sequential(Block(c, c), Block(c, c))
        self.fine = fine
        if fine:
            self.from_8 = nn.Conv2d(c, b, 1)
            self.mix4 = nn.Sequential(Block(b, b), Block(b, b))

    def forward(self, x):
        quarter = self.quarter(self.stem(x))
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        last = self.last(sixteenth)
        y = self.mix16(sixteenth + F.interpolate(self.from_last(last), scale_factor=2, mode="nearest"))
        y = self.mix8(eighth + F.interpolate(self.from_16(y), scale_factor=2, mode="nearest"))
        if self.fine:
            y = self.mix4(quarter + F.interpolate(self.from_8(y), scale_factor=2, mode="nearest"))
        return y, last.mean((2, 3))


class First(nn.Module):
    """Heat maps of the four corners in the card's own order, kind, number of cards (0, 1, more), mirrored."""

    def __init__(self):
        super().__init__()
        self.trunk = Trunk((16, 24, 48, 96, 160), fine=False)
        self.maps = nn.Conv2d(48, 4, 1)
        self.classes = nn.Linear(160, len(KINDS) + 3 + 1)

    def forward(self, x):
        features, summary = self.trunk(x)
        return torch.cat([self.maps(features).flatten(1), self.classes(summary)], 1)


class Second(nn.Module):
    """For each of the four sides where it runs, across a band at its nominal place; kind, turn, mirrored."""

    def __init__(self):
        super().__init__()
        self.trunk = Trunk((16, 24, 40, 80, 128), fine=True)
        self.maps = nn.Conv2d(24, 4, 1)
        self.classes = nn.Linear(128, len(KINDS) + 4 + 1)

    def forward(self, x):
        features, summary = self.trunk(x)
        maps = self.maps(features)
        top = maps[:, 0, :BAND].transpose(1, 2).flatten(1)
        right = maps[:, 1, :, -BAND:].flatten(1)
        bottom = maps[:, 2, -BAND:].transpose(1, 2).flatten(1)
        left = maps[:, 3, :, :BAND].flatten(1)
        return torch.cat([top, right, bottom, left, self.classes(summary)], 1)


def first_parts(out):
    """Logits of the maps (batch, corner, cell), of kind, of number, of mirrored."""
    cells = (FIRST_SIDE // FIRST_CELL) ** 2
    maps, classes = out[:, : 4 * cells].reshape(-1, 4, cells), out[:, 4 * cells :]
    return maps, classes[:, :8], classes[:, 8:11], classes[:, 11]


def second_parts(out):
    """Logits of the sides (top, right, bottom, left: batch, place along, bin across), of kind, of turn, of mirrored."""
    columns, rows = SECOND_WIDTH // SECOND_CELL, SECOND_HEIGHT // SECOND_CELL
    sides, at = [], 0
    for places in (columns, rows, columns, rows):
        sides.append(out[:, at : at + places * BAND].reshape(-1, places, BAND))
        at += places * BAND
    classes = out[:, at:]
    return sides, classes[:, :8], classes[:, 8:12], classes[:, 12]
