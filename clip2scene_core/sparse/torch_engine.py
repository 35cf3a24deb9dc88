"""The reference engine: gather, multiply, add, one kernel offset at a time; any device, exact gradients.

Only pairs that exist are multiplied. On a LiDAR scan an output cell has 5 to 9 of its 27 neighbours, so
this does a quarter of the work of one product over all offsets, and its buffers stay small.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from clip2scene_core.sparse.grid import KernelMap, VoxelGrid


class TorchEngine:
    """Sparse convolutions in plain PyTorch; see SparseEngine."""

    name = "torch"

    def submanifold(self, features: Tensor, grid: VoxelGrid, weight: Tensor) -> Tensor:
        return convolve_pairs(features, weight, grid.neighbours)

    def strided(self, features: Tensor, grid: VoxelGrid, weight: Tensor) -> Tensor:
        return convolve_pairs(features, weight, grid.to_coarser)

    def inverse(self, features: Tensor, grid: VoxelGrid, weight: Tensor) -> Tensor:
        return convolve_pairs(features, weight, grid.from_coarser)


def convolve_pairs(features: Tensor, weight: Tensor, pairs: KernelMap) -> Tensor:
    """out[j] = sum over offsets k and their pairs (i, j) of features[i] @ weight[k].

    Under autocast the products are in its dtype; sums of 16-bit products are kept in float32.
    """
    device_type = features.device.type
    if torch.is_autocast_enabled(device_type):
        dtype = torch.get_autocast_dtype(device_type)
        features, weight = features.to(dtype), weight.to(dtype)
    return _PairConvolution.apply(features, weight, pairs)


class _PairConvolution(torch.autograd.Function):
    """The backward pass walks the same pairs the other way, so it costs two forward passes."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, pairs: KernelMap) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.pairs = pairs
        out = _identity_share(features, weight, pairs.identity, pairs.num_out)
        for k, rows_in, rows_out in _other_offsets(pairs):
            out.index_add_(0, rows_out, (features.index_select(0, rows_in) @ weight[k]).to(out.dtype))
        return out.to(features.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (features, weight), pairs = ctx.saved_tensors, ctx.pairs
        needs_features, needs_weight, _ = ctx.needs_input_grad
        grad_out = grad_out.contiguous()
        grad_features = grad_weight = None
        if needs_features:
            grad_features = _identity_share(grad_out, weight.mT, pairs.identity, pairs.num_in)
        if needs_weight:
            grad_weight = torch.zeros_like(weight)
            if pairs.identity is not None:
                torch.mm(features.T, grad_out, out=grad_weight[pairs.identity])
        for k, rows_in, rows_out in _other_offsets(pairs):
            grad = grad_out.index_select(0, rows_out)
            if grad_weight is not None:
                torch.mm(features.index_select(0, rows_in).T, grad, out=grad_weight[k])
            if grad_features is not None:
                grad_features.index_add_(0, rows_in, (grad @ weight[k].T).to(grad_features.dtype))
        return grad_features if grad_features is None else grad_features.to(features.dtype), grad_weight, None


def _identity_share(features: Tensor, weight: Tensor, identity: int | None, rows: int) -> Tensor:
    """(rows, C_out) sums to add to: what the offset that connects every row with itself gives, or zeros."""
    dtype = torch.promote_types(features.dtype, torch.float32)
    if identity is None:
        return torch.zeros(rows, weight.shape[2], dtype=dtype, device=features.device)
    return (features @ weight[identity]).to(dtype)


def _other_offsets(pairs: KernelMap) -> Iterator[tuple[int, Tensor, Tensor]]:
    """(offset, input rows, output rows) of the offsets that have pairs, without the identity."""
    for k, (rows_in, rows_out) in enumerate(zip(pairs.rows_in, pairs.rows_out, strict=True)):
        if k != pairs.identity and len(rows_in):
            yield k, rows_in, rows_out
