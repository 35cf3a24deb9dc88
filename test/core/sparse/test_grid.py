"""Tables of a grid against a dictionary of its cells."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clip2scene_core.errors import DataError
from clip2scene_core.sparse import SparseVoxels, VoxelGrid, kernel_offsets

CELLS = st.lists(
    st.tuples(st.integers(0, 2), *(st.integers(-3, 3) for _ in range(3))), unique=True, max_size=40
)


def grid_of(cells: list[tuple[int, ...]]) -> VoxelGrid:
    return VoxelGrid(torch.tensor(cells, dtype=torch.int32).reshape(-1, 4))


def found_pairs(rows_in: tuple[torch.Tensor, ...], rows_out: tuple[torch.Tensor, ...]) -> set[tuple]:
    return {
        (k, i, j)
        for k, (sources, targets) in enumerate(zip(rows_in, rows_out, strict=True))
        for i, j in zip(sources.tolist(), targets.tolist(), strict=True)
    }


@settings(max_examples=60, deadline=None)
@given(CELLS)
def test_neighbours_are_the_occupied_cells_at_each_offset(cells: list[tuple[int, ...]]) -> None:
    row = {cell: index for index, cell in enumerate(cells)}
    expected = {
        (k, row[b, x + dx, y + dy, z + dz], j)
        for (b, x, y, z), j in row.items()
        for k, (dx, dy, dz) in enumerate(kernel_offsets(3).tolist())
        if (b, x + dx, y + dy, z + dz) in row
    }
    pairs = grid_of(cells).neighbours
    assert found_pairs(pairs.rows_in, pairs.rows_out) == expected
    assert sum(map(len, pairs.rows_in)) == len(expected)
    assert pairs.identity is not None and kernel_offsets(3)[pairs.identity].tolist() == [0, 0, 0]


@settings(max_examples=60, deadline=None)
@given(CELLS)
def test_every_cell_has_one_parent_at_its_octant(cells: list[tuple[int, ...]]) -> None:
    grid = grid_of(cells)
    coarse = {cell: row for row, cell in enumerate(map(tuple, grid.coarser.coordinates.tolist()))}
    assert set(coarse) == {(b, x // 2, y // 2, z // 2) for b, x, y, z in cells}
    expected = {
        (kernel_offsets(2).tolist().index([x % 2, y % 2, z % 2]), row, coarse[b, x // 2, y // 2, z // 2])
        for row, (b, x, y, z) in enumerate(cells)
    }
    down, up = grid.to_coarser, grid.from_coarser
    assert found_pairs(down.rows_in, down.rows_out) == expected
    assert found_pairs(up.rows_out, up.rows_in) == expected
    assert (down.num_in, down.num_out) == (up.num_out, up.num_in) == (len(cells), len(coarse))


def test_cells_of_different_scans_or_far_rows_are_not_neighbours() -> None:
    edge = (1 << 17) - 2
    grid = grid_of([(0, 0, 0, edge), (0, 0, 1, -edge), (0, 0, edge, 0), (0, 1, -edge, 0), (1, 0, 0, edge)])
    assert sum(map(len, grid.neighbours.rows_in)) == len(grid)


def test_tables_are_shared_and_levels_counted(random_grid) -> None:
    grid = random_grid()
    assert grid.coarser is grid.coarser
    assert grid.neighbours is grid.neighbours
    assert (grid.level, grid.coarser.level, grid.coarser.coarser.level) == (0, 1, 2)


def test_rows_are_grouped_by_scan_only_where_needed() -> None:
    mixed = grid_of([(2, 0, 0, 0), (0, 0, 0, 0), (2, 1, 0, 0)])
    assert mixed.scan_order.tolist() == [1, 0, 2]
    assert mixed.scan_sizes == [1, 2]
    assert grid_of([(0, 5, 0, 0), (0, 0, 0, 0), (1, 1, 0, 0)]).scan_order is None


@pytest.mark.parametrize(
    ("coordinates", "message"),
    [
        (torch.zeros(3, 3, dtype=torch.int32), r"shape \(V, 4\).*got torch.int32 \(3, 3\)"),
        (torch.zeros(3, 4), "must be integers.*torch.float32"),
        (torch.tensor([[0, 1 << 20, 0, 0]]), "voxel coordinates must lie within.*larger voxels"),
        (torch.tensor([[-1, 0, 0, 0]]), "batch indices must lie in 0.."),
    ],
)
def test_impossible_coordinates_are_refused(coordinates: torch.Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        VoxelGrid(coordinates)


def test_duplicate_cells_are_refused() -> None:
    with pytest.raises(DataError, match=r"unique.*3 rows"):
        _ = grid_of([(0, 1, 2, 3), (0, 0, 0, 0), (0, 1, 2, 3)]).neighbours


def test_features_must_fit_the_grid() -> None:
    with pytest.raises(DataError, match=r"shape \(1, C\).*got \(2, 5\)"):
        SparseVoxels.from_coordinates(torch.zeros(2, 5), torch.zeros(1, 4, dtype=torch.int32))
