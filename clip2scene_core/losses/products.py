"""Scalar products of rows of features, in at least float32, under autocast too.

Half precision ends at 65504, which the product of two long rows passes.
"""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """The values themselves, or 16-bit ones in float32."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def all_products(rows: Tensor, others: Tensor) -> Tensor:
    """(R, P) scalar products of each of the rows (R, D) with each of the others (P, D)."""
    with torch.autocast(rows.device.type, enabled=False):
        return at_least_float32(rows) @ at_least_float32(others).T
