"""Sparse convolutions and pooling on voxels: one small API, several engines."""

from clip2scene_core.sparse.engine import ENGINES, SparseEngine, make_engine, use_engine
from clip2scene_core.sparse.grid import KernelMap, VoxelGrid, kernel_offsets
from clip2scene_core.sparse.modules import InverseConv3d, SparseConvolution, StridedConv3d, SubmanifoldConv3d
from clip2scene_core.sparse.pooling import average_pool, global_average_pool, global_max_pool, max_pool
from clip2scene_core.sparse.voxels import SparseVoxels

__all__ = [
    "ENGINES",
    "InverseConv3d",
    "KernelMap",
    "SparseConvolution",
    "SparseEngine",
    "SparseVoxels",
    "StridedConv3d",
    "SubmanifoldConv3d",
    "VoxelGrid",
    "average_pool",
    "global_average_pool",
    "global_max_pool",
    "kernel_offsets",
    "make_engine",
    "max_pool",
    "use_engine",
]
