"""Superpoints: pieces of the ground and of what stands on it, most of which are of one class.

Shapes: N points, V voxels.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from clip2scene_core.ground import find_ground
from clip2scene_core.voxels import occupied

GROUND_M = 0.25
"""What is lower than this above the ground is of it."""
GROUND_PIECE_M = 1.0
"""Edge of the squares that the ground is cut into: kerbs and lawns begin anywhere."""
LINK_M = 0.4
"""Edge of voxels; things whose voxels do not touch are apart."""
PIECE_M = 2.0
"""Edge of the cubes that things are cut into, since facades, fences and trees touch each other."""


def superpoints(xyz: np.ndarray) -> np.ndarray:
    """(N,) int64: the superpoint of each of the points (N, 3), finite, z up; from 0 without gaps.

    A superpoint above the ground is what of one connected thing lies in one cube.
    """
    low = xyz[:, 2] - find_ground(xyz).height(xyz) < GROUND_M
    thing = np.zeros(len(xyz), np.int64)  # the ground is one
    thing[~low] = 1 + _connected(xyz[~low])
    scaled = xyz / np.where(low, GROUND_PIECE_M, PIECE_M)[:, None].astype(np.float32)
    scaled[low, 2] = 0.0
    pieces, piece = occupied(scaled, 1.0)
    return np.unique(thing * len(pieces) + piece, return_inverse=True)[1]


def _connected(xyz: np.ndarray) -> np.ndarray:
    """(N,) int64: the thing that each point is of; voxels that share a corner are of the same."""
    coordinates, voxel = occupied(xyz, LINK_M)
    pairs = cKDTree(coordinates).query_pairs(1.8, output_type="ndarray")
    touching = coo_array((np.ones(len(pairs), bool), tuple(pairs.T)), shape=(len(coordinates),) * 2)
    return connected_components(touching, directed=False)[1][voxel].astype(np.int64)
