"""KISS-ICP on real scans: speed, and how well sweeps lie on each other. `pytest -rP` shows the figures.

Shapes: N points, K neighbours.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial import cKDTree

from clip2scene_core.data import open_source
from clip2scene_core.types import Frame

pytest.importorskip("kiss_icp", reason="kiss-icp is not installed")

SWEEPS = 4
GATE_M = 1.0
NEIGHBOURS = 20


def thinned(xyz: np.ndarray) -> np.ndarray:
    """One point of each cube of 0.1 m, so that the rings near the sensor do not outweigh all else."""
    return xyz[np.unique(np.floor(xyz / 0.1).astype(int), axis=0, return_index=True)[1]]


def normals_of(xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normals (N, 3), and which points (N,) lie on a plane: neighbours spread in two directions, not three.

    Along a ring they spread in one, which has no normal.
    """
    neighbours = xyz[cKDTree(xyz).query(xyz, NEIGHBOURS)[1]]
    centred = neighbours - neighbours.mean(axis=1, keepdims=True)
    spread, axes = np.linalg.eigh(np.einsum("nki,nkj->nij", centred, centred))
    flat = (spread[:, 0] < 0.05 * spread[:, 1]) & (spread[:, 1] > 0.1 * spread[:, 2])
    return axes[:, :, 0], flat


def residuals_m(frame: Frame, *, registered: bool) -> dict[str, float]:
    """Mean distance of points of the sweeps from the plane at the nearest point of the scan, within GATE_M.

    `upright` planes tell more of motion than all: a road stays where it is however far one drives.
    """
    scan = thinned(frame.scan.xyz.astype(np.float64))
    normals, flat = normals_of(scan)
    tree, distances, upright = cKDTree(scan), [], []
    for sweep, world_from_sweep in zip(frame.sweeps, frame.sweeps_world_from_lidar, strict=True):
        xyz = thinned(sweep.xyz.astype(np.float64))
        if registered:
            xyz = (frame.world_from_lidar.inverse() @ world_from_sweep).apply(xyz)
        distance_m, nearest = tree.query(xyz, distance_upper_bound=GATE_M)
        found = np.flatnonzero(np.isfinite(distance_m))
        found = found[flat[nearest[found]]]
        normal = normals[nearest[found]]
        distances.append(np.abs(np.einsum("ni,ni->n", xyz[found] - scan[nearest[found]], normal)))
        upright.append(np.abs(normal[:, 2]) < 0.5)
    distance, is_upright = np.concatenate(distances), np.concatenate(upright)
    return {"all": float(distance.mean()), "upright": float(distance[is_upright].mean())}


@pytest.mark.parametrize(
    ("kind", "folder", "speed_ms", "distance_m", "largest"),
    [
        # Stop and go between lorries and cars that move along: registering what stands blurs those.
        ("kitti-raw", "kitti_raw", (0.8, 3.3), (5.2, 6.2), {"all": (0.035, 0.9), "upright": (0.08, 0.8)}),
        (
            "semantic-kitti",
            "semantic_kitti",
            (6, 9.5),
            (15.5, 17),
            {"all": (0.03, 0.3), "upright": (0.04, 0.3)},
        ),
    ],
)
def test_real_sweeps_lie_on_each_other(real_recordings, kind, folder, speed_ms, distance_m, largest):
    """`largest`: residual in metres, and share of what it is without registration."""
    source = open_source(kind, real_recordings / folder, sweeps=SWEEPS, ego_motion="kiss-icp")
    poses = [source[i].world_from_lidar for i in range(len(source))]
    steps_m = np.array([(before.inverse() @ after).translation for before, after in pairwise(poses)])
    forward_ms = 10 * steps_m[:, 0]
    print(f"{kind}: {source.notes[0]}; forward, m/s: {forward_ms.round(1).tolist()}")
    assert speed_ms[0] < forward_ms.min() and forward_ms.max() < speed_ms[1]
    assert distance_m[0] < steps_m[:, 0].sum() < distance_m[1]
    assert np.abs(steps_m[:, 1:]).max() < 0.05, "a car drives ahead"
    registered, as_they_are = (residuals_m(source[14], registered=registered) for registered in (True, False))
    print(f"point to plane, m: registered {registered}, without {as_they_are}")
    for planes, (most_m, share) in largest.items():
        assert registered[planes] < min(most_m, share * as_they_are[planes])
