"""The reference engine: gather, multiply, add, one kernel offset at a time; any device, exact gradients.

Only pairs that exist are multiplied. On a LiDAR scan an output cell has 5 to 9 of its 27 neighbours, so
this does a quarter of the work of one product over all offsets, and its buffers stay small.
"""

from __future__ import annotations

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
        out = _accumulator(pairs.num_out, weight.shape[2], features)
        for k, (rows_in, rows_out) in enumerate(zip(pairs.rows_in, pairs.rows_out, strict=True)):
            if k == pairs.identity:
                out += features @ weight[k]
            elif len(rows_in):
                out.index_add_(0, rows_out, (features.index_select(0, rows_in) @ weight[k]).to(out.dtype))
        return out.to(features.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, weight = ctx.saved_tensors
        pairs, (needs_features, needs_weight, _) = ctx.pairs, ctx.needs_input_grad
        grad_out = grad_out.contiguous()
        grad_features = _accumulator(len(features), features.shape[1], features) if needs_features else None
        grad_weight = torch.zeros_like(weight) if needs_weight else None
        for k, (rows_in, rows_out) in enumerate(zip(pairs.rows_in, pairs.rows_out, strict=True)):
            whole = k == pairs.identity
            if not len(rows_in):
                continue
            grad = grad_out if whole else grad_out.index_select(0, rows_out)
            if grad_weight is not None:
                inputs = features if whole else features.index_select(0, rows_in)
                torch.mm(inputs.T, grad, out=grad_weight[k])
            if grad_features is not None:
                share = grad @ weight[k].T
                if whole:
                    grad_features += share
                else:
                    grad_features.index_add_(0, rows_in, share.to(grad_features.dtype))
        if grad_features is not None:
            grad_features = grad_features.to(features.dtype)
        return grad_features, grad_weight, None


def _accumulator(rows: int, channels: int, like: Tensor) -> Tensor:
    dtype = torch.promote_types(like.dtype, torch.float32)
    return torch.zeros(rows, channels, dtype=dtype, device=like.device)
