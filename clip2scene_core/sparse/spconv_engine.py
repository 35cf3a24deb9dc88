"""Sparse convolutions by spconv: the fast engine on a GPU, and forward only on a CPU.

spconv multiplies; the tables are this project's own, so rows, offsets and negative coordinates mean the
same as in the other engines. Two defects of spconv 2.3.8 on a CPU are kept away from users: its backward
pass gives wrong weight gradients, so training there is refused; its scatter loses rows when two threads
share it, so it runs on one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from clip2scene_core.errors import ConfigError, MissingExtraError
from clip2scene_core.sparse.grid import KernelMap, VoxelGrid


class SpconvEngine:
    """Sparse convolutions through spconv's functions; see SparseEngine.

    Computes in float16 where features or autocast are float16, else in float32. Raises MissingExtraError
    where spconv is not installed, ConfigError where a gradient is wanted on a CPU.
    """

    name = "spconv"

    def __init__(self) -> None:
        try:
            from spconv.pytorch import functional, ops
        except ImportError as error:
            raise MissingExtraError("spconv", "spconv") from error
        self._functional, self._ops = functional, ops
        self._tables: WeakKeyDictionary[KernelMap, Any] = WeakKeyDictionary()
        self._weights = WeakTensorKeyDictionary()

    def __deepcopy__(self, memo: dict[int, Any]) -> SpconvEngine:
        """A copied network shares its engine: there is nothing to copy but caches."""
        return self

    def submanifold(self, features: Tensor, grid: VoxelGrid, weight: Tensor) -> Tensor:
        return self._convolve(features, weight, grid.neighbours)

    def strided(self, features: Tensor, grid: VoxelGrid, weight: Tensor) -> Tensor:
        return self._convolve(features, weight, grid.to_coarser)

    def inverse(self, features: Tensor, grid: VoxelGrid, weight: Tensor) -> Tensor:
        return self._convolve(features, weight, grid.from_coarser)

    def _convolve(self, features: Tensor, weight: Tensor, pairs: KernelMap) -> Tensor:
        trains = torch.is_grad_enabled() and (features.requires_grad or weight.requires_grad)
        if trains and not features.is_cuda:
            raise ConfigError(
                "the spconv engine has no right gradients on a CPU; train with engine 'torch', "
                "or run inference under torch.no_grad()"
            )
        if not len(features):
            return features.new_zeros(0, weight.shape[2])
        dtype = _compute_dtype(features)
        filters = _filters(weight, dtype) if trains else self._cached_filters(weight, dtype)
        multiply = self._on_cpu if not features.is_cuda else self._train_on_gpu if trains else self._on_gpu
        out = multiply(features.to(dtype).contiguous(), filters, pairs)
        return out if dtype == torch.float16 else out.to(features.dtype)

    def _on_cpu(self, features: Tensor, filters: Tensor, pairs: KernelMap) -> Tensor:
        """Gather, multiply, scatter, offset by offset."""
        table, counts = self._table(pairs, _pair_lists)
        has_centre = pairs.identity is not None
        with _one_thread():
            return self._ops.indice_conv(features, filters, table, counts, pairs.num_out, False, has_centre)

    def _on_gpu(self, features: Tensor, filters: Tensor, pairs: KernelMap) -> Tensor:
        """One implicit matrix product over all offsets, rows with the same neighbours side by side."""
        table, _ = self._table(pairs, _neighbour_tables)
        out, _, _ = self._ops.implicit_gemm(
            features,
            filters,
            table.rows,
            [table.mask],
            [table.order],
            pairs.num_out,
            [ALL_OFFSETS],
            is_train=False,
            is_subm=False,
        )
        return out

    def _train_on_gpu(self, features: Tensor, filters: Tensor, pairs: KernelMap) -> Tensor:
        """The same with gradients, whose pass backwards needs the tables of the input rows too."""
        table, back = self._table(pairs, _neighbour_tables)
        # an autograd function takes no keywords; the last two are is_train and is_subm
        return self._functional.implicit_gemm(
            features,
            filters,
            table.rows,
            back.rows,
            [table.mask],
            [back.mask],
            [table.order],
            [back.order],
            pairs.num_out,
            [ALL_OFFSETS],
            True,
            False,
        )

    def _table(self, pairs: KernelMap, build: Callable[[KernelMap], Any]) -> Any:
        """What `build` makes of the pairs, made once for as long as they live."""
        if pairs not in self._tables:
            self._tables[pairs] = build(pairs)
        return self._tables[pairs]

    def _cached_filters(self, weight: Tensor, dtype: torch.dtype) -> Tensor:
        """The converted weight, made again when the weight was changed, moved or asked for otherwise."""
        if weight.is_inference():  # counts no versions
            return _filters(weight, dtype)
        state = (weight._version, weight.data_ptr(), dtype)
        known = self._weights.get(weight)
        if known is None or known[0] != state:
            known = self._weights[weight] = (state, _filters(weight.detach(), dtype))
        return known[1]


@dataclass(frozen=True, slots=True, eq=False)
class NeighbourTable:
    """What the rows of one side of a convolution connect to on the other side, as spconv wants it."""

    rows: Tensor
    """(K, V) int32 row on the other side, -1 for none."""
    mask: Tensor
    """(V, 1) int32, bit k set where offset k connects."""
    order: Tensor
    """(V,) int32 rows sorted by mask."""


ALL_OFFSETS = np.array([0xFFFFFFFF], dtype=np.uint32)
"""spconv's mask of the offsets that one launch computes."""


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _neighbour_tables(pairs: KernelMap) -> tuple[NeighbourTable, NeighbourTable]:
    """Input rows of each output row, and output rows of each input row."""
    return (
        _neighbour_table(pairs.rows_out, pairs.rows_in, pairs.num_out),
        _neighbour_table(pairs.rows_in, pairs.rows_out, pairs.num_in),
    )


def _neighbour_table(here: Sequence[Tensor], there: Sequence[Tensor], num_here: int) -> NeighbourTable:
    rows = torch.full((len(here), num_here), -1, dtype=torch.int32, device=here[0].device)
    for row, at, other in zip(rows, here, there, strict=True):
        row[at] = other.int()
    bits = 1 << torch.arange(len(here), dtype=torch.int32, device=rows.device)
    mask = ((rows >= 0) * bits[:, None]).sum(0, dtype=torch.int32)
    return NeighbourTable(rows, mask[:, None].contiguous(), mask.argsort().int())


def _pair_lists(pairs: KernelMap) -> tuple[Tensor, Tensor]:
    """(2, K, V) int32 input and output rows, filled up with -1, and the (K,) int32 number of pairs."""
    counts = [len(rows) for rows in pairs.rows_in]
    table = torch.full((2, len(counts), max(counts)), -1, dtype=torch.int32)
    for k, count in enumerate(counts):
        table[0, k, :count] = pairs.rows_in[k]
        table[1, k, :count] = pairs.rows_out[k]
    return table, torch.tensor(counts, dtype=torch.int32)


def _compute_dtype(features: Tensor) -> torch.dtype:
    device = features.device.type
    autocast = torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device)
    half = features.is_cuda and torch.float16 in (features.dtype, autocast)
    return torch.float16 if half else torch.float32


def _filters(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """(K, C_in, C_out) to spconv's (C_out, k, k, k, C_in)."""
    edge = round(len(weight) ** (1 / 3))
    return weight.to(dtype).permute(2, 0, 1).unflatten(1, (edge, edge, edge)).contiguous()
