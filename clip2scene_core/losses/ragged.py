"""Rows of features and a table with a row for each group of them: products, sums and their gradients.

They walk through the rows in parts, so that no second copy of them is made, and compute in at least float32.
Autograd does not see them: they are what a backward pass is written in.

Shapes: R rows, G groups, D embedding. `index`, `group`: (R,) int64 in 0..G-1, each row's row of the table.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

PART_CPU = 2**17
PART_GPU = 2**24
"""Numbers in a part: what the cache of a core holds, and what keeps a GPU busy between two launches."""


def row_products(rows: Tensor, table: Tensor, index: Tensor) -> Tensor:
    """(R,) scalar product of each of the rows (R, D) with its row of the table (G, D)."""
    dtype = _wide(rows, table)
    products = rows.new_empty(len(rows), dtype=dtype)
    for part in _parts(rows):
        picked = table.index_select(0, index[part]).to(dtype)
        products[part] = picked.mul_(rows[part]).sum(dim=1)
    return products


def add_group_sums(table: Tensor, rows: Tensor, weight: Tensor, group: Tensor) -> None:
    """Adds weight (R,) x rows (R, D) to the row of the table (G, D) of each one's group."""
    for part in _parts(rows):
        table.index_add_(0, group[part], rows[part].to(table.dtype) * weight[part, None])


def weighted_rows(*terms: tuple[Tensor, Tensor, Tensor], dtype: torch.dtype) -> Tensor:
    """(R, D) in `dtype`: sum over the terms (table, weight, index) of weight (R,) x its row of the table."""
    (first, weight, index), *others = terms
    rows = first.new_empty(len(index), first.shape[1], dtype=dtype)
    for part in _parts(rows):
        total = first.index_select(0, index[part]).to(_wide(first, weight)).mul_(weight[part, None])
        for table, share, of in others:
            total.addcmul_(table.index_select(0, of[part]).to(total.dtype), share[part, None])
        rows[part] = total
    return rows


def group_softmax(scores: Tensor, group: Tensor, groups: int) -> Tensor:
    """(R,) softmax of the scores (R,) among those of the same group."""
    highest = scores.new_full((groups,), -torch.inf).scatter_reduce(0, group, scores, "amax")
    share = (scores - highest[group]).exp()
    return share / share.new_zeros(groups).index_add(0, group, share)[group]


def _wide(one: Tensor, other: Tensor) -> torch.dtype:
    """What their products are computed in."""
    return torch.promote_types(torch.promote_types(one.dtype, other.dtype), torch.float32)


def _parts(rows: Tensor) -> Iterator[slice]:
    """Slices of consecutive rows."""
    numbers = PART_CPU if rows.device.type == "cpu" else PART_GPU
    step = max(1, numbers // max(1, rows.shape[1]))
    return (slice(first, first + step) for first in range(0, len(rows), step))
