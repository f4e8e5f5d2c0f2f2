"""The network of `presentation`: from a patch at the photo's own resolution, how the card was presented."""

import torch
import torch.nn as nn
import torch.nn.functional as F

CLASSES = ["original", "screen", "print", "copy"]
SIDE = 96


def norm(channels):
    return nn.BatchNorm2d(channels, momentum=0.02)


class Block(nn.Module):
    """A depthwise and a pointwise convolution, with a shortcut."""

    def __init__(self, channels):
        super().__init__()
        self.depth = nn.Conv2d(channels, channels, 3, 1, 1, groups=channels, bias=False)
        self.depth_norm = norm(channels)
        self.point = nn.Conv2d(channels, channels, 1, bias=False)
        self.point_norm = norm(channels)

    def forward(self, x):
        return F.relu(x + self.point_norm(self.point(F.relu(self.depth_norm(self.depth(x))))))


def halve(inner, outer):
    return nn.Sequential(nn.Conv2d(inner, outer, 3, 2, 1, bias=False), norm(outer), nn.ReLU())


class Presentation(nn.Module):
    """Logits of the classes. Traces are fine and everywhere: the first layer halves at once but keeps many channels, and what
    each map holds is averaged over the patch, as is its square, so that a texture counts wherever it lies."""

    def __init__(self, widths=(16, 32, 56, 88)):
        super().__init__()
        a, b, c, d = widths
        self.stem = nn.Sequential(nn.Conv2d(3, a, 5, 2, 2, bias=False), norm(a), nn.ReLU(), Block(a))
        self.quarter = nn.Sequential(halve(a, b), Block(b), Block(b))
        self.eighth = nn.Sequential(halve(b, c), Block(c), Block(c))
        self.last = nn.Sequential(halve(c, d), Block(d))
        self.classes = nn.Linear(2 * d + b, len(CLASSES))

    def forward(self, x):
        quarter = self.quarter(self.stem(x))
        last = self.last(self.eighth(quarter))
        seen = torch.cat([last.mean((2, 3)), (last * last).mean((2, 3)) * 0.5, quarter.mean((2, 3))], 1)
        return self.classes(seen)
