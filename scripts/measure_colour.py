#!/usr/bin/env python3
"""How far colour and place alone tell the classes of simulated pictures: what a teacher has to beat.

    python scripts/measure_colour.py out/views

Reads `views_*.npz`, one file per town with pictures `rgb` (P, H, W, 3) and classes `class_id` (P, H, W) of
the label set `town`. Every third town is for testing. Prints the mIoU over the classes of `street` of (a) the
most frequent class at each position of the picture, (b) gradient-boosted trees on the colour of a pixel and
(c) trees on colour and position.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.ensemble import HistGradientBoostingClassifier

from clip2scene_core.labels import LabelSet

PIXELS = 120_000
"""That the trees learn from."""


def main() -> None:
    """Prints the three figures and their IoU per class."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    files = sorted(parser.parse_args().folder.glob("views_*.npz"))
    town, street = LabelSet.named("town"), LabelSet.named("street")
    pictures = [np.load(file) for file in files]
    rgb = [picture["rgb"] for picture in pictures]
    truth = [street.from_set(town, picture["class_id"].astype(np.int64)) for picture in pictures]
    tested = [index for index in range(len(files)) if index % 3 == 1]
    learnt = [index for index in range(len(files)) if index % 3 != 1]
    x, y = np.concatenate([rgb[i] for i in learnt]), np.concatenate([truth[i] for i in learnt])
    test_x, test_y = np.concatenate([rgb[i] for i in tested]), np.concatenate([truth[i] for i in tested])
    print(f"{len(y)} pictures of {len(learnt)} towns to learn from, {len(test_y)} of {len(tested)} to test")

    count = 1 + int(street.ids.max())
    votes = np.stack([gaussian_filter((y == k).mean(axis=0), 4.0) for k in range(1, count)])
    _report("(a) position", np.broadcast_to(1 + votes.argmax(axis=0), test_y.shape), test_y, street)
    for name, with_place in (("(b) colour", False), ("(c) colour and position", True)):
        seen, wanted = _features(x, with_place), y.ravel()
        rows = np.random.default_rng(0).choice(np.flatnonzero(wanted > 0), PIXELS)
        trees = HistGradientBoostingClassifier(max_iter=60).fit(seen[rows], wanted[rows])
        answer = trees.predict(_features(test_x, with_place)).reshape(test_y.shape)
        _report(name, answer, test_y, street)


def _features(rgb: np.ndarray, with_place: bool) -> np.ndarray:
    """(P * H * W, 3 or 5): colours, and row and column."""
    place = np.broadcast_to(np.stack(np.indices(rgb.shape[1:3]), axis=-1), (*rgb.shape[:3], 2))
    columns = [rgb, place] if with_place else [rgb]
    return np.concatenate(columns, axis=-1).reshape(-1, 5 if with_place else 3)


def _report(name: str, answer: np.ndarray, truth: np.ndarray, street: LabelSet) -> None:
    """Pixels without a class, the sky, count neither for nor against."""
    known = truth > 0
    ious = {}
    for each in street.classes:
        hit, wanted = (answer == each.id) & known, truth == each.id
        ious[each.name] = (hit & wanted).sum() / max((hit | wanted).sum(), 1)
    each_iou = (f"{class_name} {iou:.2f}" for class_name, iou in ious.items())
    print(f"{name}: mIoU {np.mean(list(ious.values())):.3f}", *each_iou, sep=", ")


if __name__ == "__main__":
    main()
