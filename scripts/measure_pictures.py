#!/usr/bin/env python3
"""How well pixels of simulated pictures are named: by place and colour alone, and by dense CLIP.

    clip2scene simulate out/held --as views --towns 6 --first-seed 500000 --views 20
    python scripts/measure_pictures.py out/views out/held --model local-dir:out/street-clip

Prints IoU over the classes of `street`, on the pictures of the second folder, of
(a) the most frequent class of the first folder at each position of the picture,
(b) gradient-boosted trees that learnt the class from the colour of a pixel in the first folder,
(c) trees that learnt it from colour and position, and (d) a dense CLIP, asked for these classes and the sky.
Pixels of the sky have no class in `street`: they count neither for nor against, but a CLIP that sees sky
elsewhere is wrong. Every fourth row and column is judged. Words are the phrases of the label set, `--set`
takes settings of the teacher.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.ensemble import HistGradientBoostingClassifier

from clip2scene_core import config as configuration
from clip2scene_core.config import TeacherConfig
from clip2scene_core.inference.teacher import Teacher
from clip2scene_core.labels import LabelSet, SemanticClass
from clip2scene_core.metrics import Confusion
from clip2scene_core.simulation.views import SKY, StreetView
from clip2scene_core.training.caption_samples import read_all_views

PIXELS = 120_000
"""That the trees learn from."""
JUDGED = (slice(None, None, 4), slice(None, None, 4))
"""Rows and columns of pictures that are judged."""
TOWN, STREET = LabelSet.named("town"), LabelSet.named("street")
Answer = Callable[[np.ndarray], np.ndarray]
"""From a picture (H, W, 3) uint8 to ids (h, w) of STREET at the judged pixels, 0 for none of them."""


def main() -> None:
    """Prints one line for each way to name pixels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("learnt", type=Path, help="folder of pictures to learn places and colours from")
    parser.add_argument("tested", type=Path, help="folder of pictures of other towns")
    parser.add_argument("--model", help="a CLIP, as for `clip2scene label-images`")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    parser.add_argument("--every", type=int, default=1, help="only each so manyth tested picture")
    chosen = parser.parse_args()
    learnt, tested = read_all_views(chosen.learnt), read_all_views(chosen.tested)[:: chosen.every]
    print(f"{len(learnt)} pictures to learn from, {len(tested)} to test")
    _report("(a) place", _by_place(learnt), tested)
    for name, with_place in (("(b) colour", False), ("(c) colour and place", True)):
        _report(name, _by_trees(learnt, with_place), tested)
    if chosen.model:
        _report(f"(d) {chosen.model}", _by_clip(chosen.model, chosen.settings), tested)


def _truth(view: StreetView) -> np.ndarray:
    return STREET.from_set(TOWN, view.class_id.astype(np.uint16))


def _by_place(learnt: Sequence[StreetView]) -> Answer:
    truths = np.stack([_truth(view) for view in learnt])
    votes = np.stack([gaussian_filter((truths == c.id).mean(axis=0), 4.0) for c in STREET.classes])
    best = STREET.ids[votes.argmax(axis=0)]
    return lambda rgb: best[JUDGED]


def _by_trees(learnt: Sequence[StreetView], with_place: bool) -> Answer:
    rng, seen, wanted, channels = np.random.default_rng(0), [], [], 5 if with_place else 3
    for view in learnt:
        truth = _truth(view).ravel()
        rows = rng.choice(np.flatnonzero(truth), min(PIXELS // len(learnt) + 1, np.count_nonzero(truth)))
        seen.append(_features(view.rgb, with_place).reshape(-1, channels)[rows])
        wanted.append(truth[rows])
    trees = HistGradientBoostingClassifier(max_iter=60).fit(np.concatenate(seen), np.concatenate(wanted))
    return lambda rgb: trees.predict(_features(rgb, with_place)[JUDGED].reshape(-1, channels))


def _features(rgb: np.ndarray, with_place: bool) -> np.ndarray:
    """(H, W, 3 or 5): colours, and row and column."""
    place = np.stack(np.indices(rgb.shape[:2]), axis=-1)
    return np.concatenate([rgb, place] if with_place else [rgb], axis=-1)


def _by_clip(model: str, settings: Sequence[str]) -> Answer:
    config = configuration.load(TeacherConfig, None, [f"model={model}", *settings])
    sky = SemanticClass(id=int(STREET.ids.max()) + 1, name=SKY, phrases=(SKY,), colour=(0, 0, 0))
    teacher = Teacher(config, replace(STREET, classes=(*STREET.classes, sky)))

    def answer(rgb: np.ndarray) -> np.ndarray:
        named = teacher.label_pixels(rgb)
        return np.where(named == sky.id, 0, named)[JUDGED]

    return answer


def _report(name: str, answer: Answer, tested: Sequence[StreetView]) -> None:
    confusion = Confusion.empty(STREET)
    for view in tested:
        confusion += Confusion.of(STREET, _truth(view)[JUDGED].ravel(), answer(view.rgb).ravel())
    each = (f"{name} {iou:.2f}" for name, iou in zip(STREET.names, confusion.iou(), strict=True))
    print(f"{name}: mIoU {confusion.mean_iou():.3f}", *each, sep=", ")


if __name__ == "__main__":
    main()
