"""Gradients of a whole student against finite differences, along a random direction of all its parameters."""

from __future__ import annotations

import torch
from torch import Tensor

from clip2scene_core.sparse import SparseVoxels
from clip2scene_core.student import MinkUNet


def assert_gradient_is_a_difference(model: MinkUNet, voxels: SparseVoxels, rows: int) -> None:
    """`rows` is how many answers the student (float64) gives for the voxels."""
    generator = torch.Generator().manual_seed(3)
    target = torch.randn(rows, 8, generator=generator, dtype=torch.float64)
    parameters = list(model.parameters())
    direction = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]

    def loss(step: float) -> Tensor:
        with torch.no_grad():
            for parameter, way in zip(parameters, direction, strict=True):
                parameter += step * way
        output = model(voxels)
        return (output.semantic * target).mean() + (output.temporal * target).square().mean()

    gradients = torch.autograd.grad(loss(0.0), parameters)
    expected = sum((g * way).sum() for g, way in zip(gradients, direction, strict=True))
    step = 1e-7
    with torch.no_grad():
        ahead, behind = loss(step), loss(-2 * step)
    torch.testing.assert_close((ahead - behind) / (2 * step), expected, rtol=1e-4, atol=1e-6)
