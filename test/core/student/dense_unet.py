"""The layers of a student as dense ones of the same weights, for volumes without an empty cell."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clip2scene_core.sparse import InverseConv3d, StridedConv3d, SubmanifoldConv3d
from clip2scene_core.student import MinkUNet
from clip2scene_core.student.minkunet import ConvNorm, ResidualBlock


def randomise_statistics(model: nn.Module) -> None:
    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d):
            for tensor in (part.running_mean, part.running_var, part.weight, part.bias):
                nn.init.uniform_(tensor, 0.5, 1.5)


def dense_convolution(conv: nn.Module, volume: Tensor) -> Tensor:
    """What a convolution does where every cell is occupied."""
    if isinstance(conv, SubmanifoldConv3d):
        return F.conv3d(volume, conv.weight.unflatten(0, (3, 3, 3)).permute(4, 3, 0, 1, 2), padding=1)
    if isinstance(conv, StridedConv3d):
        return F.conv3d(volume, conv.weight.unflatten(0, (2, 2, 2)).permute(4, 3, 0, 1, 2), stride=2)
    if isinstance(conv, InverseConv3d):
        kernel = conv.weight.unflatten(0, (2, 2, 2)).permute(3, 4, 0, 1, 2)
        return F.conv_transpose3d(volume, kernel, stride=2)
    return F.conv3d(volume, conv.weight[:, :, None, None, None])


def dense_step(step: ConvNorm, volume: Tensor) -> Tensor:
    norm = step.norm
    volume = dense_convolution(step.conv, volume)
    volume = F.batch_norm(volume, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    return F.relu(volume) if step.relu else volume


def dense_block(block: ResidualBlock, volume: Tensor) -> Tensor:
    shortcut = volume if isinstance(block.shortcut, nn.Identity) else dense_step(block.shortcut, volume)
    return F.relu(dense_step(block.second, dense_step(block.first, volume)) + shortcut)


def dense_stem(model: MinkUNet, volume: Tensor) -> Tensor:
    for step in model.stem:
        volume = dense_step(step, volume)
    return volume


def dense_down(stage: nn.Module, volume: Tensor) -> Tensor:
    volume = dense_step(stage.conv, volume)
    for block in stage.blocks:
        volume = dense_block(block, volume)
    return volume


def dense_up(stage: nn.Module, volume: Tensor, skip: Tensor) -> Tensor:
    volume = torch.cat([dense_step(stage.conv, volume), skip], dim=1)
    for block in stage.blocks:
        volume = dense_block(block, volume)
    return volume
