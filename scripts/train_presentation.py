#!/usr/bin/env python3
"""Trains the network that tells originals, screens, prints and copies apart, on patches of `presentation_patches.py`.

    train_presentation.py FOLDER CHECKPOINT [--minutes M] [--rate R] [--check FOLDER ...] [--export FILE.onnx]

Shards that are drawn meanwhile are taken in at every save. The same command goes on from the checkpoint after an interruption
and ends when all its minutes of CPU time are used, however busy the machine is. What is checked and exported is the moving
mean of the weights. With `--minutes 0` it only checks and exports.
"""

import argparse
import json
import math
import pathlib
import time

import numpy as np
import torch
import torch.nn.functional as F

from presentation_net import CLASSES, SIDE, Presentation
from training import learn, save, write_onnx

BATCH = 64
SAVE_EVERY = 180
# Until this share of the time is used, crops of this size are learned from: at half the work they say nearly as much.
SMALL_UNTIL, SMALL = 0.8, 64
# Share of a shot's patches, those that speak most for an attack, whose mean is the shot's.
SHARES = (1.0, 0.75, 0.5, 0.25)


class Patches:
    """Shots of a folder's shards, read when they are needed."""

    def __init__(self, folder):
        self.folder, self.shards, self.items, self.about = pathlib.Path(folder), {}, [], []

    def refresh(self):
        for index in sorted(self.folder.glob("*.jsonl")):
            if index not in self.shards:
                self.shards[index] = np.load(index.with_suffix(".npy"), mmap_mode="r")
                for n, line in enumerate(index.open()):
                    about = json.loads(line)
                    self.about.append(about)
                    label = CLASSES.index(about["label"])
                    self.items += [(index, n, t, label, len(self.about) - 1) for t in range(self.shards[index].shape[1])]
        return self

    def load(self, item):
        return self.shards[item[0]][item[1], item[2]]


def distort(patch, rng, side):
    """Cut out, turned and mirrored, a little brighter, darker or of another colour: what says nothing about the surface."""
    top, left = rng.integers(0, SIDE - side + 1, 2)
    patch = patch[top : top + side, left : left + side]
    if rng.random() < 0.5:
        patch = patch[::-1]
    if rng.random() < 0.5:
        patch = patch[:, ::-1]
    if rng.random() < 0.5:
        patch = patch.transpose(1, 0, 2)
    x = patch.astype(np.float32)
    if rng.random() < 0.6:
        x = x * np.exp(rng.normal(0, 0.05, 3) + rng.normal(0, 0.12)).astype(np.float32) + np.float32(rng.normal(0, 6))
    return np.clip(x, 0, 255)


def tensor(patches):
    x = torch.from_numpy(np.stack(patches).astype(np.float32)).permute(0, 3, 1, 2) / 127.5 - 1
    return x.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def judged(net, patches):
    """Logarithms of the classes' probabilities of every patch, and the shot that each belongs to."""
    net.eval()
    out = []
    for start in range(0, len(patches.items), BATCH):
        x = tensor([patches.load(item) for item in patches.items[start : start + BATCH]])
        out.append(F.log_softmax(net(x), 1))
    net.train()
    return torch.cat(out).numpy(), np.array([item[4] for item in patches.items])


def log_odds(logs, attack):
    """Of an attack against the rest."""
    p = np.exp(logs[:, attack]).clip(1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


def shot_scores(odds, shots, share):
    """Mean of the strongest share of each shot's patches."""
    scores = []
    for shot in range(shots.max() + 1):
        own = np.sort(odds[shots == shot])[::-1]
        scores.append(own[: max(1, round(share * len(own)))].mean())
    return np.array(scores)


def missed(genuine, attacks, bpcer):
    """Share of attacks that a threshold lets through which stops the given share of the genuine (APCER)."""
    if not len(genuine) or not len(attacks):
        return math.nan
    return float((attacks <= np.quantile(genuine, 1 - bpcer)).mean())


def check(net, patches):
    logs, shots = judged(net, patches)
    labels = np.array([CLASSES.index(about["label"]) for about in patches.about])
    right = (logs.argmax(1) == labels[shots]).mean()
    lines = [f"patches right {100 * right:.1f} %, shots {np.bincount(labels, minlength=4).tolist()}"]
    for attack in (1, 2, 3):
        odds, row = log_odds(logs, attack), []
        for share in SHARES:
            scores = shot_scores(odds, shots, share)
            genuine, attacks = scores[labels == 0], scores[labels == attack]
            row.append("/".join(f"{100 * missed(genuine, attacks, b):.0f}" for b in (0.01, 0.05)))
        lines.append(f"  {CLASSES[attack]}: APCER % at BPCER 1/5 % by share {dict(zip(SHARES, row))}")
    return "\n".join(lines)


def export(net, file):
    names = dict(input_names=["patches"], output_names=["logits"])
    axes = {"patches": {0: "n"}, "logits": {0: "n"}}
    write_onnx(net, (2, 3, SIDE, SIDE), file, "train_presentation.py", dynamic_axes=axes, **names)


def step(net, mean, optimiser, patches, rng, looks, side):
    """One batch; its loss."""
    items = [patches.items[n] for n in rng.integers(0, len(patches.items), BATCH)]
    x = tensor([distort(patches.load(item), rng, side) for item in items])
    loss = F.cross_entropy(net(x), torch.tensor([item[3] for item in items]), label_smoothing=0.02)
    learn(net, mean, optimiser, loss, looks / BATCH)
    return loss.item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--check", nargs="*", default=[])
    parser.add_argument("--export")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    net = Presentation().to(memory_format=torch.channels_last)
    mean = Presentation()
    mean.load_state_dict(net.state_dict())
    optimiser = torch.optim.AdamW(net.parameters(), lr=options.rate, weight_decay=0.02)
    used, looks = 0.0, 0
    if options.checkpoint.exists():
        saved = torch.load(options.checkpoint, weights_only=True)
        net.load_state_dict(saved["net"])
        mean.load_state_dict(saved["mean"])
        optimiser.load_state_dict(saved["optimiser"])
        used, looks = saved["used"], saved["looks"]
    patches = Patches(options.folder).refresh()
    checks = [Patches(folder).refresh() for folder in options.check]
    rng = np.random.default_rng(1000 + looks)
    last, last_saved, running, all_of_it = time.process_time(), time.time(), None, 60 * options.minutes
    while used < all_of_it:
        rate = options.rate * min(1, looks / 12800 + 0.05) * (0.5 + 0.5 * math.cos(math.pi * used / all_of_it)) + 1e-5
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss = step(net, mean, optimiser, patches, rng, looks, SMALL if used < SMALL_UNTIL * all_of_it else SIDE)
        looks += BATCH
        running = loss if running is None else 0.99 * running + 0.01 * loss
        now = time.process_time()
        used += now - last
        last = now
        if time.time() - last_saved > SAVE_EVERY or used >= all_of_it:
            last_saved = time.time()
            save(options.checkpoint, net, mean, optimiser, used, looks)
            patches.refresh()
            print(f"{used / 60:.1f} min {looks} looks of {len(patches.items)} patches, loss {running:.3f}", flush=True)
    for folder, shots in zip(options.check, checks):
        print(f"{folder}: {check(mean, shots)}", flush=True)
    if options.export:
        export(mean, options.export)


if __name__ == "__main__":
    main()
