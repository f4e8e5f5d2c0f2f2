#!/usr/bin/env python3
"""Trains the networks that find a card in a photo, on scenes of the test kit.

    train_locate.py first|second FOLDER CHECKPOINT [--minutes M] [--rate R] [--check FOLDER] [--export FILE.onnx]

FOLDER holds the shards of `training_scenes`; new ones are taken in while training runs. The same command goes on from the
checkpoint after an interruption and ends when all its minutes of CPU time are used, however busy the machine is. What is
checked and exported is the moving mean of the
weights.
"""

import argparse
import json
import math
import pathlib
import time

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from locate_net import *
from training import learn, save, write_onnx

CARD = np.array([[0, 0], [85.6, 0], [85.6, 53.98], [0, 53.98]], np.float32)
BATCH = 32
SAVE_EVERY = 240
cv2.setNumThreads(0)


class Scenes:
    """Pictures of a folder's shards, read when they are needed."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.known, self.items = set(), []

    def refresh(self):
        for index in sorted(self.folder.glob("*.jsonl")):
            if index not in self.known:
                self.known.add(index)
                self.items += [(index.with_suffix(".bin"), json.loads(line)) for line in index.open()]
        return self

    def load(self, item):
        file, about = item
        with open(file, "rb") as shard:
            shard.seek(about["at"])
            data = np.frombuffer(shard.read(about["length"]), np.uint8)
        return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION), cv2.COLOR_BGR2RGB)


def warp(picture, to_picture, width, height):
    """Samples as the program does: halved until a step is less than two pixels, then between pixels, edges repeated."""
    centre = np.array([[width / 2, height / 2, 1], [width / 2 + 1, height / 2, 1], [width / 2, height / 2 + 1, 1]], float)
    p = centre @ to_picture.T
    p = p[:, :2] / p[:, 2:]
    step = min(np.linalg.norm(p[1] - p[0]), np.linalg.norm(p[2] - p[0]))
    m = to_picture.copy()
    while step >= 2 and min(picture.shape[:2]) > 2:
        picture = cv2.resize(picture, (picture.shape[1] // 2, picture.shape[0] // 2), interpolation=cv2.INTER_AREA)
        m = np.diag([0.5, 0.5, 1.0]) @ m
        step /= 2
    # Pixel centres lie at halves here and at whole numbers there.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    m = np.linalg.inv(half) @ m @ half
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(picture, m, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def through(m, points):
    p = np.concatenate([points, np.ones((len(points), 1))], 1) @ m.T
    return p[:, :2] / p[:, 2:]


def distort(picture, rng):
    """Light, colour, blur, noise and compression as cameras and messengers differ."""
    x = picture.astype(np.float32)
    if rng.random() < 0.7:
        x = 255 * (x / 255) ** math.exp(rng.normal(0, 0.25))
        x = x * (1 + rng.normal(0, 0.06, 3)) * math.exp(rng.normal(0, 0.2)) + rng.normal(0, 10)
    if rng.random() < 0.25:
        h, w = x.shape[:2]
        slope = np.linspace(-1, 1, w)[None] * rng.normal(0, 0.3) + np.linspace(-1, 1, h)[:, None] * rng.normal(0, 0.3)
        x = x * np.clip(1 + slope, 0.2, 2)[..., None]
    if rng.random() < 0.1:
        x = x.mean(2, keepdims=True).repeat(3, 2)
    if rng.random() < 0.3:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.3, 1.6))
    if rng.random() < 0.15:
        x = x + rng.uniform(0.3, 1.0) * (x - cv2.GaussianBlur(x, (0, 0), 1.2))
    if rng.random() < 0.15:
        # Something in front: a thumb, a clip, a reflection.
        h, w = x.shape[:2]
        at, axes = (int(rng.integers(0, w)), int(rng.integers(0, h))), rng.integers(6, 26, 2).tolist()
        cv2.ellipse(x, at, axes, float(rng.integers(0, 180)), 0, 360, rng.uniform(0, 255, 3).tolist(), -1)
    if rng.random() < 0.5:
        x = x + rng.normal(0, rng.uniform(1, 12), x.shape[:2] + (1,)) + rng.normal(0, rng.uniform(0, 5), x.shape)
    x = np.clip(x, 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        x = cv2.imdecode(cv2.imencode(".jpg", x, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 80))])[1], 1)
    return x


def first_look(picture, about, rng):
    """Input of the first look and its targets."""
    h, w = picture.shape[:2]
    inner = FIRST_SIDE - 2 * FIRST_MARGIN
    scale = max(h, w) / inner
    turn, zoom, flip = 0.0, 1.0, 1.0
    shift = np.zeros(2)
    if rng is not None:
        turn = rng.choice(4) * math.pi / 2 + (rng.normal(0, 0.15) if rng.random() < 0.5 else 0)
        zoom = math.exp(rng.normal(0, 0.06)) if rng.random() < 0.4 else 1.0
        shift = rng.normal(0, 4, 2) if rng.random() < 0.4 else shift
        flip = -1.0 if rng.random() < 0.1 else 1.0
    s, c = math.sin(turn), math.cos(turn)
    m = np.array([[1, 0, w / 2 + shift[0]], [0, 1, h / 2 + shift[1]], [0, 0, 1]]) @ np.diag([scale * zoom, scale * zoom, 1.0])
    m = m @ np.array([[c * flip, -s, 0], [s * flip, c, 0], [0, 0, 1]])
    m = m @ np.array([[1, 0, -FIRST_SIDE / 2], [0, 1, -FIRST_SIDE / 2], [0, 0, 1.0]])
    x = warp(picture, m, FIRST_SIDE, FIRST_SIDE)
    corners = np.full((4, 2), -1e3, np.float32)
    if about["corners"] is not None and about["kind"] < 7:
        corners = through(np.linalg.inv(m), np.array(about["corners"], float)).astype(np.float32)
    labels = [about["kind"], min(about["cards"], 2), int(flip < 0)]
    return (distort(x, rng) if rng is not None else x), corners, labels


def second_look(picture, about, rng, check):
    """Input of the second look, where the corners are in it, and its targets."""
    h, w = picture.shape[:2]
    real = about["corners"] is not None and about["kind"] < 7
    turn, flip, kind = 0, False, about["kind"]
    if real and (check or rng.random() < 0.88):
        quad = np.array(about["corners"], float)
        width = np.linalg.norm(quad[1] - quad[0])
        spread = width * (0.02 if check else 0.002 + 0.035 * rng.random() ** 1.5)
        # Corners err together (shift, size, turn) and each by itself.
        quad = quad + rng.normal(0, spread, (4, 2)) * 0.8 + rng.normal(0, spread, (1, 2)) * 0.7
        middle = quad.mean(0)
        quad = middle + (quad - middle) * (1 + rng.normal(0, spread / width))
        if not check:
            turn = int(rng.choice(4, p=[0.66, 0.06, 0.22, 0.06]))
            flip = rng.random() < 0.1
        if about["kind"] == 6 and not check and rng.random() < 0.5:
            turn = 0
    else:
        # Somewhere else: a part of the card, a piece of the ground.
        middle = rng.uniform(0.1, 0.9, 2) * [w, h]
        size = rng.uniform(0.15, 0.7) * max(w, h)
        angle = rng.uniform(0, 2 * math.pi)
        box = (CARD - CARD.mean(0)) / 85.6 * size
        box = box * (1 + rng.normal(0, 0.05, (4, 2)))
        rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        quad = middle + box @ rotation.T
        if real:
            # Unless it happens to be about the card.
            truth = np.array(about["corners"], float)
            off = min(np.abs(np.roll(quad, k, 0) - truth).max() for k in range(4)) / np.linalg.norm(truth[1] - truth[0])
            if off < 0.3:
                return second_look(picture, about, rng, check)
        real, kind = False, 7
    # The quadrilateral's corner `turn` comes first; a mirrored picture runs the other way round.
    shown = np.roll(quad, -turn, 0)
    order = [1, 0, 3, 2] if flip else [0, 1, 2, 3]
    shown = shown[order]
    mx, my = SECOND_MARGIN_X, SECOND_MARGIN_Y
    box = np.array([[mx, my], [SECOND_WIDTH - mx, my], [SECOND_WIDTH - mx, SECOND_HEIGHT - my], [mx, SECOND_HEIGHT - my]])
    m = cv2.getPerspectiveTransform(box.astype(np.float32), shown.astype(np.float32)).astype(float)
    x = warp(picture, m, SECOND_WIDTH, SECOND_HEIGHT)
    corners = np.full((4, 2), np.nan, np.float32)
    if real:
        truth = np.roll(np.array(about["corners"], float), -turn, 0)[order]
        corners = through(np.linalg.inv(m), truth).astype(np.float32)
    return (x if check else distort(x, rng)), corners, [kind, turn, int(flip)]


def side_targets(corners):
    """For each side, where it runs at each place along it, in bins across its band; NaN where it is not."""
    columns, rows = SECOND_WIDTH // SECOND_CELL, SECOND_HEIGHT // SECOND_CELL
    targets = []
    for n, (along, places, offset) in enumerate([(0, columns, 0), (1, rows, columns - BAND), (0, columns, rows - BAND), (1, rows, 0)]):
        a, b = corners[:, n].astype(float), corners[:, (n + 1) % 4].astype(float)
        at = (np.arange(places) + 0.5)[None] * SECOND_CELL
        run = b[:, along] - a[:, along]
        run = np.where(np.abs(run) < 1e-3, 1e-3, run)
        t = (at - a[:, along : along + 1]) / run[:, None]
        across = a[:, 1 - along : 2 - along] + t * (b[:, 1 - along : 2 - along] - a[:, 1 - along : 2 - along])
        bins = across / SECOND_CELL - offset
        # The corners are round.
        shown = (t > 0.045) & (t < 0.955) & (bins > 0.2) & (bins < BAND - 0.2)
        targets.append(torch.from_numpy(np.where(shown, bins, np.nan).astype(np.float32)))
    return targets


def soft_target(places, count, sigma):
    """Distributions over `count` bins about the places given."""
    centres = torch.arange(count) + 0.5
    weight = torch.exp(-((places[..., None] - centres) ** 2) / (2 * sigma**2))
    return weight / weight.sum(-1, keepdim=True).clamp_min(1e-9)


def cross_entropy(logits, target):
    return -(target * F.log_softmax(logits, -1)).sum(-1)


def first_loss(out, corners, labels):
    maps, kind, cards, mirrored = first_parts(out)
    side = FIRST_SIDE // FIRST_CELL
    places = corners / FIRST_CELL
    inside = ((places > 0) & (places < side)).all(-1)
    safe = torch.where(inside[..., None], places, torch.zeros(()))
    target = soft_target(safe[..., 1], side, 0.7)[..., :, None] * soft_target(safe[..., 0], side, 0.7)[..., None, :]
    loss = cross_entropy(maps, target.flatten(2))
    maps_loss = (loss * inside).sum() / inside.sum().clamp_min(1)
    known = labels[:, 0] < 6
    mirror = F.binary_cross_entropy_with_logits(mirrored, labels[:, 2].float(), reduction="none")
    return (
        maps_loss
        + 0.3 * F.cross_entropy(kind, labels[:, 0])
        + 0.15 * F.cross_entropy(cards, labels[:, 1])
        + 0.15 * (mirror * known).sum() / known.sum().clamp_min(1)
    )


def second_loss(out, corners, labels):
    sides, kind, turn, mirrored = second_parts(out)
    total, count = 0.0, 0
    for logits, places in zip(sides, side_targets(corners.numpy())):
        shown = ~torch.isnan(places)
        target = soft_target(torch.nan_to_num(places), BAND, 0.6)
        total = total + (cross_entropy(logits, target) * shown).sum()
        count = count + shown.sum()
    known = (labels[:, 0] < 6).float()
    turned = F.cross_entropy(turn, labels[:, 1], reduction="none")
    mirror = F.binary_cross_entropy_with_logits(mirrored, labels[:, 2].float(), reduction="none")
    classes = F.cross_entropy(kind, labels[:, 0])
    return total / max(count, 1) + 0.3 * classes + 0.2 * ((turned + mirror) * known).sum() / known.sum().clamp_min(1)


def local_mean(prob, reach):
    """Mean place within `reach` bins about the likeliest of the last axis, and the probability found there."""
    best = prob.argmax(-1, keepdim=True)
    centres = torch.arange(prob.shape[-1])
    weight = prob * ((centres - best).abs() <= reach)
    mass = weight.sum(-1)
    return (weight * (centres + 0.5)).sum(-1) / mass, mass


def first_corners(maps):
    """Corners in pixels of the input, and how much of each map lies about its peak."""
    side = FIRST_SIDE // FIRST_CELL
    prob = maps.softmax(-1).reshape(-1, 4, side, side)
    best = prob.flatten(2).argmax(-1)
    rows, columns = best // side, best % side
    centres = torch.arange(side)
    near = ((centres - rows[..., None]).abs() <= 2)[..., :, None] & ((centres - columns[..., None]).abs() <= 2)[..., None, :]
    weight = prob * near
    mass = weight.sum((2, 3))
    x = (weight.sum(2) * (centres + 0.5)).sum(-1) / mass
    y = (weight.sum(3) * (centres + 0.5)).sum(-1) / mass
    return torch.stack([x, y], -1) * FIRST_CELL, mass


def fit_sides(sides):
    """Corners in pixels of the input from where the sides run, and each side's mean certainty."""
    columns, rows = SECOND_WIDTH // SECOND_CELL, SECOND_HEIGHT // SECOND_CELL
    lines, sure = [], []
    for logits, offset in zip(sides, (0, columns - BAND, rows - BAND, 0)):
        place, mass = local_mean(logits.softmax(-1), 1)
        at = (torch.arange(logits.shape[1]) + 0.5).expand_as(place)
        place = place + offset
        nominal = len(at[0])
        inside = (at > 0.14 * nominal) & (at < 0.86 * nominal)
        weight = mass**4 * inside
        for _ in range(4):
            w = weight / weight.sum(-1, keepdim=True)
            ma, mp = (w * at).sum(-1, keepdim=True), (w * place).sum(-1, keepdim=True)
            slope = (w * (at - ma) * (place - mp)).sum(-1, keepdim=True) / (w * (at - ma) ** 2).sum(-1, keepdim=True)
            base = mp - slope * ma
            off = (place - base - slope * at).abs()
            weight = mass**4 * inside / (1 + (off / 0.15) ** 2)
        lines.append((base[:, 0], slope[:, 0]))
        sure.append((mass * inside).sum(-1) / inside.sum(-1))
    corners = []
    for level, upright in ((0, 3), (0, 1), (2, 1), (2, 3)):
        (b, s), (c, t) = lines[level], lines[upright]
        x = (c + t * b) / (1 - t * s)
        corners.append(torch.stack([x, b + s * x], -1))
    return torch.stack(corners, 1) * SECOND_CELL, torch.stack(sure, 1)


@torch.no_grad()
def check(net, which, scenes):
    """Worst corner of four in shares of the card's width, and how often kind, number and mirrored are right."""
    net.eval()
    rng = np.random.default_rng(5)
    items = [item for item in scenes.items if item[1]["kind"] < 6][:600]
    errors, right = [], []
    for start in range(0, len(items), BATCH):
        looks = [
            first_look(scenes.load(i), i[1], None) if which == "first" else second_look(scenes.load(i), i[1], rng, True)
            for i in items[start : start + BATCH]
        ]
        x, corners, labels = stack(looks)
        if which == "first":
            maps, kind, _, _ = first_parts(net(x))
            found, _ = first_corners(maps)
        else:
            sides, kind, turn, _ = second_parts(net(x))
            found, _ = fit_sides(sides)
        width = (corners[:, 0] - corners[:, 1]).norm(dim=-1)
        errors.append((found - corners).norm(dim=-1).max(-1)[0] / width)
        right.append((kind.argmax(-1) == labels[:, 0]).float())
    errors = torch.cat(errors)
    net.train()
    quantiles = [round(100 * float(errors.quantile(q)), 2) for q in (0.5, 0.75, 0.9, 0.95)]
    return {"worst corner %": quantiles, "kind %": round(100 * float(torch.cat(right).mean()), 1)}


def stack(looks):
    x = torch.from_numpy(np.stack([look[0] for look in looks])).permute(0, 3, 1, 2).float() / 127.5 - 1
    corners = torch.from_numpy(np.stack([look[1] for look in looks]))
    labels = torch.tensor([look[2] for look in looks])
    return x.contiguous(memory_format=torch.channels_last), corners, labels


def export(net, which, file):
    shape = (1, 3, FIRST_SIDE, FIRST_SIDE) if which == "first" else (1, 3, SECOND_HEIGHT, SECOND_WIDTH)
    write_onnx(net, shape, file, "train_locate.py", input_names=["picture"], output_names=["found"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("which", choices=["first", "second"])
    parser.add_argument("folder")
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--check")
    parser.add_argument("--export")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    make = First if options.which == "first" else Second
    net = make().to(memory_format=torch.channels_last)
    mean = make()
    mean.load_state_dict(net.state_dict())
    optimiser = torch.optim.AdamW(net.parameters(), lr=options.rate, weight_decay=0.01)
    used, looks = 0.0, 0
    if options.checkpoint.exists():
        saved = torch.load(options.checkpoint, weights_only=True)
        net.load_state_dict(saved["net"])
        mean.load_state_dict(saved["mean"])
        optimiser.load_state_dict(saved["optimiser"])
        used, looks = saved["used"], saved["looks"]
    scenes = Scenes(options.folder).refresh()
    held_back = Scenes(options.check).refresh() if options.check else None
    rng = np.random.default_rng(1000 + looks)
    last, last_saved, running = time.process_time(), time.time(), None
    while used < 60 * options.minutes:
        part = used / (60 * options.minutes)
        rate = options.rate * min(1, looks / 6400 + 0.05) * (0.5 + 0.5 * math.cos(math.pi * part)) + 1e-5
        for group in optimiser.param_groups:
            group["lr"] = rate
        batch = []
        for n in rng.integers(0, len(scenes.items), BATCH):
            item = scenes.items[n]
            picture = scenes.load(item)
            look = first_look(picture, item[1], rng) if options.which == "first" else second_look(picture, item[1], rng, False)
            batch.append(look)
        x, corners, labels = stack(batch)
        loss = (first_loss if options.which == "first" else second_loss)(net(x), corners, labels)
        looks += BATCH
        learn(net, mean, optimiser, loss, looks / BATCH)
        running = loss.item() if running is None else 0.99 * running + 0.01 * loss.item()
        now = time.process_time()
        used += now - last
        last = now
        if time.time() - last_saved > SAVE_EVERY or used >= 60 * options.minutes:
            last_saved = time.time()
            save(options.checkpoint, net, mean, optimiser, used, looks)
            result = check(mean, options.which, held_back) if held_back else ""
            scenes.refresh()
            print(f"{used / 60:.1f} min {looks} looks of {len(scenes.items)} pictures, loss {running:.3f} {result}", flush=True)
            last = time.process_time()
    if options.export:
        export(mean, options.which, options.export)


if __name__ == "__main__":
    main()
