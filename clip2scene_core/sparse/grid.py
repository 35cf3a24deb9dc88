"""Where the voxels are: occupied cells of one resolution, and which of them a kernel connects.

Shapes: V voxels, B scans, C channels, K kernel offsets.

Rows are identity here too: a grid keeps the order of the coordinates that it was given.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from clip2scene_core.errors import DataError

COORDINATE_BITS = 18
"""Bits per axis of a packed coordinate: +-131,070 cells, 6.5 km to each side at 0.05 m."""
BATCH_BITS = 63 - 3 * COORDINATE_BITS
_HALF = 1 << (COORDINATE_BITS - 1)
_MASK = (1 << COORDINATE_BITS) - 1

HALF_COLUMNS = ((0, 1), (1, -1), (1, 0), (1, 1))
"""The (dx, dy) after the centre column in key order; their mirror images are the ones before it."""


@dataclass(frozen=True, eq=False)
class KernelMap:
    """For each of K kernel offsets, the pairs of input row and output row that it connects.

    Each row occurs at most once per offset, on either side. Engines may keep their own form of a map with
    the map as a weak key.
    """

    rows_in: tuple[Tensor, ...]
    """K tensors of int64 input rows."""
    rows_out: tuple[Tensor, ...]
    """K tensors of int64 output rows, of the same lengths."""
    num_in: int
    """How many input rows there are, connected or not."""
    num_out: int
    """How many output rows there are, connected or not."""
    identity: int | None = None
    """The offset that connects every row with itself, where there is one."""


class ScanRows:
    """Rows that belong to the scans of a batch."""

    batch: Tensor
    """(R,) int32 or int64 index of the scan in the batch."""

    @cached_property
    def scan_sizes(self) -> list[int]:
        """How many rows each scan of the batch has, without the scans that have none."""
        return [size for size in torch.bincount(self.batch).tolist() if size]

    @cached_property
    def scan_order(self) -> Tensor | None:
        """(R,) rows grouped by scan; None where they lie like that already."""
        if bool((self.batch[1:] >= self.batch[:-1]).all()):
            return None
        return torch.argsort(self.batch, stable=True)


class VoxelGrid(ScanRows):
    """The occupied cells of a batch of scans at one resolution, with the tables that convolutions share.

    `coordinates` are (V, 4) integers [batch, x, y, z] in units of this grid's own cell; negative cells are
    allowed, duplicates are not. `level` counts the halvings of resolution since the input. Raises
    DataError where a shape, a range or uniqueness does not hold.
    """

    def __init__(self, coordinates: Tensor, *, level: int = 0) -> None:
        if coordinates.ndim != 2 or coordinates.shape[1] != 4 or coordinates.is_floating_point():
            raise DataError(
                "voxel coordinates must be integers of shape (V, 4) [batch, x, y, z], "
                f"got {coordinates.dtype} {tuple(coordinates.shape)}"
            )
        self.coordinates = coordinates
        self.batch = coordinates[:, 0]
        self.level = level
        check_range(coordinates)

    def __len__(self) -> int:
        return len(self.coordinates)

    @property
    def device(self) -> torch.device:
        """Where the coordinates are."""
        return self.coordinates.device

    def rows_at(self, cells: Tensor) -> Tensor:
        """(N,) row of each of the cells (N, 4) [batch, x, y, z]; -1 for those that are not occupied."""
        return self._column_rows(_pack(cells), 1)[0]

    def rows_of_cubes(self, cells: Tensor) -> Tensor:
        """(N, 8) rows of 2x2x2 cells from the lowest ones (N, 4), in the order of `kernel_offsets(2)`."""
        keys = _pack(cells)
        columns = [self._column_rows(keys + _pack_offset(dx, dy, 0), 2) for dx in (0, 1) for dy in (0, 1)]
        return torch.stack([row for column in columns for row in column], dim=1)

    def _column_rows(self, lowest: Tensor, cells: int) -> list[Tensor]:
        """For each of `cells` cells from the keys `lowest` upwards: its (N,) row, -1 where not occupied."""
        keys, order = self._sorted_keys
        order = torch.cat([order, order.new_full((1,), -1)])
        return [torch.where(occupied, order[at], -1) for occupied, at in _search_columns(keys, lowest, cells)]

    @cached_property
    def neighbours(self) -> KernelMap:
        """The 27 offsets of a 3x3x3 kernel, in the order of `kernel_offsets(3)`.

        Searches half of the offsets; the pairs of the other half are the same, mirrored.
        """
        keys, order = self._sorted_keys
        below = (keys[1:] == keys[:-1] + 1).nonzero()[:, 0]
        after = [(order[below + 1], order[below])]
        for dx, dy in HALF_COLUMNS:
            after += _column_pairs(keys, order, _pack_offset(dx, dy, -1))
        before = [(rows_out, rows_in) for rows_in, rows_out in reversed(after)]
        everyone = torch.arange(len(self), device=self.device)
        rows_in, rows_out = zip(*before, (everyone, everyone), *after, strict=True)
        return KernelMap(rows_in, rows_out, num_in=len(self), num_out=len(self), identity=len(before))

    @cached_property
    def _downsampling(self) -> tuple[VoxelGrid, Tensor]:
        """The grid of twice the cell, rows in key order, and the (V,) row of it that holds each voxel."""
        keys, parent = torch.unique(_pack(_halve(self.coordinates)), sorted=True, return_inverse=True)
        return VoxelGrid(_unpack(keys).to(self.coordinates.dtype), level=self.level + 1), parent

    @property
    def coarser(self) -> VoxelGrid:
        """The grid of twice the cell: every cell with an occupied child; always the same object."""
        return self._downsampling[0]

    @property
    def parent(self) -> Tensor:
        """(V,) row of `coarser` that holds each voxel."""
        return self._downsampling[1]

    @cached_property
    def to_coarser(self) -> KernelMap:
        """From this grid's rows to the rows of `coarser`: the 8 octants, ordered as `kernel_offsets(2)`."""
        children, parents = self._octants
        return KernelMap(children, parents, num_in=len(self), num_out=len(self.coarser))

    @cached_property
    def from_coarser(self) -> KernelMap:
        """From the rows of `coarser` back to this grid's rows; the same pairs as `to_coarser`."""
        children, parents = self._octants
        return KernelMap(parents, children, num_in=len(self.coarser), num_out=len(self))

    @cached_property
    def _octants(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        x, y, z = (self.coordinates[:, 1:].long() & 1).unbind(1)
        octant = 4 * x + 2 * y + z
        children = torch.argsort(octant, stable=True)
        counts = torch.bincount(octant, minlength=8).tolist()
        parents = self.parent[children]
        return children.split(counts), parents.split(counts)

    @cached_property
    def _sorted_keys(self) -> tuple[Tensor, Tensor]:
        """Packed coordinates in ascending order, and the row of each."""
        keys, order = _pack(self.coordinates).sort()
        if bool((keys[1:] == keys[:-1]).any()):
            raise DataError(f"voxel coordinates must be unique, got duplicates among {len(self)} rows")
        return keys, order


def kernel_offsets(kernel_size: int) -> Tensor:
    """(K, 3) displacement of the input cell from the output cell, for each row of a weight (K, C_in, C_out).

    x is the slowest, z the fastest axis: (-1,-1,-1), (-1,-1,0), ... (1,1,1) for size 3, with centre 13,
    and (0,0,0), (0,0,1), ... (1,1,1) for size 2, in cells of the finer grid.
    """
    axis = torch.arange(kernel_size) - (kernel_size - 1) // 2
    return torch.cartesian_prod(axis, axis, axis)


def _column_pairs(keys: Tensor, order: Tensor, lowest: int) -> list[tuple[Tensor, Tensor]]:
    """(input rows, output rows) for the three cells of a column whose lowest is `lowest` keys away."""
    pairs = []
    for occupied, position in _search_columns(keys, keys + lowest, 3):
        rows = occupied.nonzero()[:, 0]
        pairs.append((order[position[rows]], order[rows]))
    return pairs


def _search_columns(keys: Tensor, lowest: Tensor, cells: int) -> Iterator[tuple[Tensor, Tensor]]:
    """For each of `cells` cells from `lowest` upwards: whether it is one of the `keys`, and where.

    Cells that differ only in z are next to each other in key order, so one search serves a column.
    """
    position = torch.searchsorted(keys, lowest)
    padded = torch.cat([keys, keys.new_full((1,), -1)])
    for height in range(cells):
        occupied = padded[position] == lowest + height
        yield occupied, position
        position = position + occupied


def check_range(coordinates: Tensor) -> None:
    """Raises DataError for (V, 4) [batch, x, y, z] beyond the cells of a grid; NaN is beyond them too."""
    if not len(coordinates):
        return
    low, high = coordinates.amin(0).tolist(), coordinates.amax(0).tolist()
    if low[0] < 0 or high[0] >= 1 << BATCH_BITS:
        raise DataError(f"batch indices must lie in 0..{(1 << BATCH_BITS) - 1}, got {low[0]}..{high[0]}")
    if not all(-_HALF < limit < _HALF - 1 for limit in low[1:] + high[1:]):
        raise DataError(
            f"voxel coordinates must lie within +-{_HALF - 2}, got {low[1:]} to {high[1:]}; "
            "crop the scan or use larger voxels"
        )


def _pack(coordinates: Tensor) -> Tensor:
    """(V,) int64 keys whose order is that of (batch, x, y, z)."""
    batch, x, y, z = coordinates.long().unbind(1)
    key = (batch << COORDINATE_BITS) + x + _HALF
    key = (key << COORDINATE_BITS) + y + _HALF
    return (key << COORDINATE_BITS) + z + _HALF


def _unpack(keys: Tensor) -> Tensor:
    z = (keys & _MASK) - _HALF
    y = (keys >> COORDINATE_BITS & _MASK) - _HALF
    x = (keys >> 2 * COORDINATE_BITS & _MASK) - _HALF
    return torch.stack([keys >> 3 * COORDINATE_BITS, x, y, z], dim=1)


def _pack_offset(dx: int, dy: int, dz: int) -> int:
    """What a displacement adds to a key."""
    return (((dx << COORDINATE_BITS) + dy) << COORDINATE_BITS) + dz


def _halve(coordinates: Tensor) -> Tensor:
    """Cells of twice the edge; rounds down, below zero too."""
    return torch.cat([coordinates[:, :1], coordinates[:, 1:] >> 1], dim=1)
