"""Sparse convolutions and pooling on voxels: one small API, several engines; points among voxels."""

from clip2scene_core.sparse.engine import ENGINES, SparseEngine, make_engine, use_engine
from clip2scene_core.sparse.grid import KernelMap, ScanRows, VoxelGrid, kernel_offsets
from clip2scene_core.sparse.modules import InverseConv3d, SparseConvolution, StridedConv3d, SubmanifoldConv3d
from clip2scene_core.sparse.points import Interpolation, VoxelPoints, point_to_voxel, voxel_to_point
from clip2scene_core.sparse.pooling import average_pool, global_average_pool, global_max_pool, max_pool
from clip2scene_core.sparse.reduction import group_mean
from clip2scene_core.sparse.voxels import SparseVoxels

__all__ = [
    "ENGINES",
    "Interpolation",
    "InverseConv3d",
    "KernelMap",
    "ScanRows",
    "SparseConvolution",
    "SparseEngine",
    "SparseVoxels",
    "StridedConv3d",
    "SubmanifoldConv3d",
    "VoxelGrid",
    "VoxelPoints",
    "average_pool",
    "global_average_pool",
    "global_max_pool",
    "group_mean",
    "kernel_offsets",
    "make_engine",
    "max_pool",
    "point_to_voxel",
    "use_engine",
    "voxel_to_point",
]
