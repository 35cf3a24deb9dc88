"""Two heads, and which of them runs and learns."""

from __future__ import annotations

import pytest
import torch

from clip2scene_core.student import StudentHeads


def test_each_loss_has_its_own_head() -> None:
    torch.manual_seed(0)
    heads = StudentHeads(6, 4)
    heads(torch.randn(3, 6)).temporal.sum().backward()
    assert heads.semantic.weight.grad is None
    assert heads.temporal.weight.grad.any()


@pytest.mark.parametrize("rows", [0, 3])
def test_the_temporal_head_can_be_left_out(rows: int) -> None:
    output = StudentHeads(6, 4)(torch.randn(rows, 6), temporal=False)
    assert output.temporal is None
    assert output.semantic.shape == (rows, 4)
