"""The modes of the last block, against the papers' formulas written out token by token."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from clip2scene_core.clip.attention import MODES, neighbourhood
from clip2scene_core.clip.towers import take_apart

GRID = (2, 3)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def gaussian(i: int, j: int, before: int) -> float:
    """NACLIP's w between tokens i and j, counted row by row behind the first `before`."""
    if i < before or j < before:
        return 0.0
    (y, x), (v, u) = (divmod(each - before, GRID[1]) for each in (i, j))
    return math.exp(-((y - v) ** 2 + (x - u) ** 2) / (2 * 5.0**2))


def mixed(mode: str, q: np.ndarray, k: np.ndarray, v: np.ndarray, before: int) -> np.ndarray:
    """One head's answers (L, d), one token after the other."""
    scale, answers = 1 / math.sqrt(q.shape[1]), []
    for i in range(len(q)):
        if mode == "plain":
            weight = softmax(k @ q[i] * scale)
        elif mode == "maskclip":
            weight = np.arange(len(q)) == i
        elif mode == "sclip":
            weight = softmax(q @ q[i] * scale) + softmax(k @ k[i] * scale)
        elif mode == "clearclip":
            weight = softmax(q @ q[i] * scale)
        else:
            weight = softmax(k @ k[i] * scale + np.array([gaussian(i, j, before) for j in range(len(q))]))
        answers.append(sum(w * value for w, value in zip(weight, v, strict=True)))
    return np.stack(answers)


def reference(mode: str, last: torch.nn.Module, x: torch.Tensor, before: int) -> torch.Tensor:
    """open_clip's ResidualAttentionBlock with the attention of `mode`, one image and one head at a time."""
    weight, bias = last.attn.in_proj_weight.numpy(), last.attn.in_proj_bias.numpy()
    attended = []
    for y in last.ln_1(x).numpy():
        q, k, v = np.split(y @ weight.T + bias, 3, axis=1)
        heads = [np.split(each, last.attn.num_heads, axis=1) for each in (q, k, v)]
        attended.append(
            np.concatenate([mixed(mode, *head, before) for head in zip(*heads, strict=True)], axis=1)
        )
    z = last.ls_1(last.attn.out_proj(torch.from_numpy(np.stack(attended)).float()))
    if mode in ("clearclip", "naclip"):
        return z
    return x + z + last.ls_2(last.mlp(last.ln_2(x + z)))


@pytest.mark.parametrize("model", ["Tiny", "Tiny-average"])
@pytest.mark.parametrize("mode", MODES)
def test_a_mode_is_what_its_paper_says(mode, model, tiny_clip):
    visual = tiny_clip(model).model.visual
    x = torch.randn(2, 1 + 6, 32)
    found = MODES[mode](take_apart(visual).last_block, x, GRID)
    torch.testing.assert_close(found, reference(mode, visual.transformer.resblocks[-1], x, before=1))


@pytest.mark.parametrize("model", ["Tiny-SigLIP", "Tiny-timm"])
def test_plain_is_the_block_of_timm_itself(model, tiny_clip):
    visual = tiny_clip(model).model.visual
    x = torch.randn(2, 9, 32)
    found = MODES["plain"](take_apart(visual).last_block, x, GRID)
    torch.testing.assert_close(found, visual.trunk.blocks[-1](x))


def test_the_neighbourhood_of_three_patches_in_a_row():
    near, far = math.exp(-1 / 50), math.exp(-4 / 50)
    expected = torch.tensor([[1, near, far], [near, 1, near], [far, near, 1]])
    torch.testing.assert_close(neighbourhood((1, 3), device=torch.device("cpu")), expected)
    torch.testing.assert_close(neighbourhood((3, 1), device=torch.device("cpu")), expected)
