"""The whole ablation as one piece of work that can be interrupted anywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from clip2scene_core.config import EvidenceConfig, InferenceConfig, PretrainConfig
from clip2scene_core.evidence.drives import (
    HELD_OUT,
    TRAINING,
    features_folder,
    keep_features,
    keep_projected_labels,
    open_drives,
    projected_labels,
    share_threads,
    write_drives,
)
from clip2scene_core.evidence.judging import judge, predictions
from clip2scene_core.evidence.rows import FULL, NAMES, Row, chosen
from clip2scene_core.inference.segmenter import SemanticSegmenter
from clip2scene_core.parallel import spread
from clip2scene_core.progress import Progress
from clip2scene_core.training.pretrain import frozen_teacher, label_set, pretrain
from clip2scene_core.training.schedule import resolved
from clip2scene_core.writing import whole_file

RESULT = "result.json"
TEACHER = "teacher projected to points"

Stage = Callable[[str, int | None], AbstractContextManager[Progress]]
"""From what is done and its steps to a progress that is told of them."""


def run_evidence(
    config: EvidenceConfig, folder: Path, *, record: Mapping[str, object], stage: Stage
) -> dict[str, list[dict[str, Any]]]:
    """Results by name of the row, one of each seed, and of the teacher projected to points.

    `folder` keeps drives, features, runs and results: what is there is not done again.
    """
    rows = chosen(config.rows)
    for part in (TRAINING, HELD_OUT):
        with stage(f"simulating, {part.replace('_', ' ')}", None) as progress:
            write_drives(config, folder, part, progress=progress)
    names = write_names(config.pretrain, folder)
    variants = {row.name: _configured(config, row, names, folder) for row in rows}
    training, held_out = open_drives(folder, TRAINING), open_drives(folder, HELD_OUT)
    for teacher in {variant.teacher.mode: variant.teacher for variant in variants.values()}.values():
        with stage(f"looking, {teacher.mode}", len(training)) as progress:
            keep_features(teacher, training, features_folder(folder, teacher), progress=progress)
    projected = folder / "projected.npz"
    full = _configured(config, Row(name=FULL, settings=()), names, folder)
    with stage("projecting the teacher", len(held_out)) as progress:
        keep_projected_labels(full, held_out, projected, progress=progress)

    pieces = [
        (variant, seed, folder / "runs" / _slug(name) / f"seed_{seed}")
        for seed in range(config.seeds)
        for name, variant in variants.items()
    ]
    missing = [piece for piece in pieces if not (piece[2] / RESULT).exists()]
    steps = resolved(full.training, len(training)).steps
    with stage(f"training {len(missing)} of {len(pieces)}", len(missing) * steps) as progress:
        work = partial(_run, folder, projected, dict(record), config.workers)
        spread(work, missing, workers=config.workers, progress=progress)

    vocabulary = label_set(full)
    labels = projected_labels(projected)
    results = {TEACHER: [judge(held_out, vocabulary, iter(labels), labels)]}
    for name in variants:
        of_row = (folder / "runs" / _slug(name) / f"seed_{seed}" / RESULT for seed in range(config.seeds))
        results[name] = [json.loads(path.read_text()) for path in of_row]
    return results


def write_names(config: PretrainConfig, folder: Path) -> Path:
    """A file of the label set whose classes have their names as their only phrases."""
    full, path = label_set(config), folder / "names.yaml"
    bare = replace(full, classes=tuple(replace(c, phrases=(c.name,)) for c in full.classes))
    with whole_file(path) as temporary:
        maps = {name: dict(pairs) for name, pairs in full.maps.items()}
        temporary.write_text(yaml.safe_dump({**bare.to_dict(), "maps": maps}, sort_keys=False))
    return path


def _configured(config: EvidenceConfig, row: Row, names: Path, folder: Path) -> PretrainConfig:
    variant = row.applied(config.pretrain)
    return replace(
        variant,
        label_set=str(names) if variant.label_set == NAMES else variant.label_set,
        features=str(features_folder(folder, variant.teacher)),
    )


def _run(
    folder: Path,
    projected: Path,
    record: Mapping[str, object],
    workers: int,
    piece: tuple[PretrainConfig, int, Path],
    done: Callable[[], None],
) -> None:
    """One row with one seed: trains, judges and writes the result."""
    config, seed, run = piece
    share_threads(workers)
    config = replace(config, training=replace(config.training, seed=seed))
    source = open_drives(folder, TRAINING, sweeps=config.pairing.sweep_window)
    path = pretrain(
        config, source, frozen_teacher(config), run, record=record, report=lambda step, losses: done()
    )
    device = InferenceConfig(device=config.training.device, engine=config.training.engine)
    segmenter = SemanticSegmenter.from_checkpoint(path, config=device)
    held_out = open_drives(folder, HELD_OUT)
    result = judge(held_out, label_set(config), predictions(held_out, segmenter), projected_labels(projected))
    with whole_file(run / RESULT) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n")


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "_", name.lower()).strip("_")
