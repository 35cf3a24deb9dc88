"""Sparse convolutions on voxels: one small API, several engines."""

from clip2scene_core.sparse.engine import ENGINES, SparseEngine, make_engine, use_engine
from clip2scene_core.sparse.grid import KernelMap, SparseVoxels, VoxelGrid, kernel_offsets
from clip2scene_core.sparse.modules import InverseConv3d, SparseConvolution, StridedConv3d, SubmanifoldConv3d

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
    "kernel_offsets",
    "make_engine",
    "use_engine",
]
