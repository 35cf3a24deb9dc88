"""Spatial-temporal consistency: points that share a cell of the grid agree, whichever sweep saw them.

Shapes: M pairs (of all sweeps: (i, k) of the paper), P phrases, G cells, D embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from clip2scene_core.losses.ragged import add_group_sums, group_softmax, row_products, weighted_rows

Fusion = Literal["points_and_pixels", "points"]
"""What the feature of a cell is made of: equation (3), or its half that the released code has."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FusedCells:
    """The fused features f_n of cells, how much of each pair is in them and how well its point agrees."""

    features: Tensor
    """(G, D) float32 or float64; zeros for a cell without pairs."""
    pixel_weight: Tensor
    """(M,) floating, without gradient: a of equation (4); 0 for a pair in no cell."""
    point_weight: Tensor
    """(M,) floating, without gradient: b of equation (4). The weights of a cell add up to 1."""
    agreement: Tensor
    """(M,) floating: D(p, f_n) of each point with the feature of its cell; 0 for a pair in no cell."""


def fused_cell_features(
    pixels: Tensor,
    points: Tensor,
    text_embeddings: Tensor,
    phrase: Tensor,
    cell: Tensor,
    cells: int,
    *,
    lambda_: float = 1.0,
    fusion: Fusion = "points_and_pixels",
) -> FusedCells:
    """Equations (3) and (4): f_n = sum over the pairs of a cell of a x + b p.

    a and b are the softmax, over all pairs of the cell, of D(x, t)/lambda and D(p, t)/lambda together.

    pixels, points: (M, D), x of the teacher and p of the student's temporal head; D is the plain scalar
    product, so the caller normalises. phrase: (M,) int64 row in text_embeddings (P, D), t, of the label of
    each pair's own pixel in the reference frame. cell: (M,) int64 below `cells`; -1 is a pair in no cell,
    which takes no part.

    As printed, nothing is held fixed: f_n passes gradients on, through the features and through the weights.
    """
    inside = cell >= 0
    group = torch.where(inside, cell, cells)  # one cell more, dropped again, for pairs in none
    sources = (points,) if fusion == "points" else (points, pixels)
    features, weight, agreement = _Fusion.apply(
        text_embeddings, phrase.clamp_min(0), group, cells + 1, lambda_, *sources
    )
    weight = torch.where(inside, weight, 0.0)
    return FusedCells(
        features=features[:cells],
        pixel_weight=torch.zeros_like(weight[0]) if fusion == "points" else weight[1],
        point_weight=weight[0],
        agreement=torch.where(inside, agreement, 0.0),
    )


def spatial_temporal_consistency(fused: FusedCells, cell: Tensor) -> Tensor:
    """Equation (2): the mean of 1 - sigmoid(D(p, f_n)) over the pairs in a cell, 0 if there are none.

    cell: (M,) int64, as it was given for the features.
    """
    inside = cell >= 0
    return torch.where(inside, torch.sigmoid(-fused.agreement), 0.0).sum() / inside.sum().clamp_min(1)


class _Fusion(torch.autograd.Function):
    """Equations (3) and (4) for any number of sources, points first, and D(p, f_n).

    Written out for the sake of memory: the gradient of a source, the one large array here, is made once.
    """

    @staticmethod
    def forward(
        ctx: Any, text: Tensor, row: Tensor, cell: Tensor, cells: int, lambda_: float, *sources: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        scores = torch.stack([row_products(source, text, row) for source in sources]) / lambda_
        weight = group_softmax(scores.flatten(), cell.repeat(len(sources)), cells).view_as(scores)
        features = weight.new_zeros(cells, text.shape[1])
        for source, share in zip(sources, weight, strict=True):
            add_group_sums(features, source, share, cell)
        agreement = row_products(sources[0], features, cell)
        ctx.lambda_ = lambda_
        ctx.save_for_backward(text, row, cell, features, weight, *sources)
        ctx.mark_non_differentiable(weight)
        ctx.set_materialize_grads(False)
        return features, weight, agreement

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, of_features: Tensor | None, _: None, of_agreement: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        text, row, cell, features, weight, *sources = ctx.saved_tensors
        points, cells = sources[0], len(features)
        if of_agreement is None:
            of_agreement = weight.new_zeros(len(points))
        of_features = torch.zeros_like(features) if of_features is None else of_features.clone()
        add_group_sums(of_features, points, of_agreement, cell)

        of_weight = torch.stack([row_products(source, of_features, cell) for source in sources])
        share = weight * of_weight
        mean = share.new_zeros(cells).index_add(0, cell, share.sum(dim=0))
        of_score = (share - weight * mean[cell]) / ctx.lambda_

        needs_text, _, _, _, _, *needs = ctx.needs_input_grad
        of_text = torch.zeros_like(text, dtype=weight.dtype) if needs_text else None
        of_sources: list[Tensor | None] = []
        for k, source in enumerate(sources):
            terms = [(of_features, weight[k], cell), (text, of_score[k], row)]
            if k == 0:
                terms.append((features, of_agreement, cell))
            of_sources.append(weighted_rows(*terms, dtype=source.dtype) if needs[k] else None)
            if of_text is not None:
                add_group_sums(of_text, source, of_score[k], row)
        return (None if of_text is None else of_text.to(text.dtype), None, None, None, None, *of_sources)
