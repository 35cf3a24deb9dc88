"""What computes a sparse convolution: the interface of an engine, and the engines by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor, nn

from clip2scene_core.errors import ConfigError
from clip2scene_core.sparse.grid import VoxelGrid


class SparseEngine(Protocol):
    """Three convolutions on features; weights are (K, C_in, C_out) in the order of `kernel_offsets`.

    Rows of features are rows of the grid that holds them, whatever the engine does in between.
    """

    name: str

    def submanifold(self, features: Tensor, grid: VoxelGrid, weight: Tensor) -> Tensor:
        """(V, C_in) -> (V, C_out): kernel 3 on the occupied cells only."""
        ...

    def strided(self, features: Tensor, grid: VoxelGrid, weight: Tensor) -> Tensor:
        """(V, C_in) on `grid` -> (V', C_out) on `grid.coarser`: kernel 2, stride 2."""
        ...

    def inverse(self, features: Tensor, grid: VoxelGrid, weight: Tensor) -> Tensor:
        """(V', C_in) on `grid.coarser` -> (V, C_out) on `grid`: the transpose of `strided`'s pairs."""
        ...


def _torch_engine() -> SparseEngine:
    from clip2scene_core.sparse.torch_engine import TorchEngine

    return TorchEngine()


def _spconv_engine() -> SparseEngine:
    from clip2scene_core.sparse.spconv_engine import SpconvEngine

    return SpconvEngine()


ENGINES: dict[str, Callable[[], SparseEngine]] = {"spconv": _spconv_engine, "torch": _torch_engine}
"""Factories by name; each imports what it needs only when it is called."""


def make_engine(engine: str | SparseEngine) -> SparseEngine:
    """The engine of that name; an engine object is returned as it is. Raises ConfigError if unknown."""
    if not isinstance(engine, str):
        return engine
    if engine not in ENGINES:
        raise ConfigError(f"unknown sparse engine {engine!r}; expected one of {', '.join(sorted(ENGINES))}")
    return ENGINES[engine]()


def use_engine(module: nn.Module, engine: str | SparseEngine) -> None:
    """Switches every sparse convolution inside `module` to one engine; weights stay as they are."""
    from clip2scene_core.sparse.modules import SparseConvolution

    chosen = make_engine(engine)
    for part in module.modules():
        if isinstance(part, SparseConvolution):
            part.engine = chosen
