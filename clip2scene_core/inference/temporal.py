"""The temporal grid: sweeps registered to one scan share its cells, and the features of a cell are fused.

Shapes: M point features of all sweeps, G cells, D embedding, P phrases.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def fuse(features: Tensor, cell: Tensor, cells: int, text: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Fused unit features (G, D) of the cells, equations (3) and (4) without their image half.

    f_n = sum_{(i,k) in g_n} b_i^k p_i^k with b_i^k = exp(D(p_i^k, t_n) / lambda) / Z, where p are the unit
    features (M, D), t_n is the unit text embedding that the mean of the cell is most similar to, and
    lambda is `temperature`. `cell` (M,) int64 is the cell of each feature. Cells without features are 0.
    """
    features = functional.normalize(features, dim=1)
    mean = functional.normalize(_sum_by_cell(features, cell, cells), dim=1)
    anchor = text[(mean @ text.T).argmax(dim=1)]
    weight = torch.exp((features * anchor[cell]).sum(dim=1, keepdim=True) / temperature)
    return functional.normalize(_sum_by_cell(weight * features, cell, cells), dim=1)


def _sum_by_cell(values: Tensor, cell: Tensor, cells: int) -> Tensor:
    return values.new_zeros(cells, values.shape[1]).index_add_(0, cell, values)
