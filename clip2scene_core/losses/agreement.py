"""Labels of pixels that other pixels confirm: looks at the same place, or at the same thing.

Shapes: M pairs, P phrases, C classes, S superpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor


def agreed_labels(
    phrase: Tensor, cell: Tensor, cells: int, phrase_class: Tensor, num_classes: int, *, least: float
) -> Tensor:
    """(M,) int64: the label of each pair, or -1 where too few of the pairs in its cell are of its class.

    phrase: (M,) int64 row of phrase_class (P,), -1 for none. cell: (M,) int64 below `cells`; a cell holds
    what all cameras saw of all sweeps there. least: smallest share of them; a pair alone agrees with itself.
    """
    known = phrase >= 0
    own = phrase_class[phrase.clamp_min(0)]
    vote = known.to(torch.float32)
    of_class = vote.new_zeros(cells * num_classes).index_add(0, cell * num_classes + own, vote)
    of_cell = vote.new_zeros(cells).index_add(0, cell, vote)
    agreeing = of_class[cell * num_classes + own] >= least * of_cell[cell]
    return torch.where(known & agreeing, phrase, -1)


def pooled(values: torch.Tensor, superpoint: torch.Tensor, superpoints: int) -> torch.Tensor:
    """(M, C): for each pair the sum of the values (M, C) in its superpoint (M,), int64 below `superpoints`.

    Where they are probabilities of classes, the greatest is that of the class that the superpoint most
    probably is of (GGSD pools features over superpoints in this way).
    """
    return values.new_zeros(superpoints, values.shape[1]).index_add(0, superpoint, values)[superpoint]
