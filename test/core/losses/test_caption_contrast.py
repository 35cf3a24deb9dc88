"""The loss of captions against a literal version and finite differences."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from clip2scene_core.losses import caption_contrast


def drawn(rows: int = 7, phrases: int = 5) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    seen, text = (
        F.normalize(torch.randn(n, 4, generator=generator).double(), dim=1) for n in (rows, phrases)
    )
    true = torch.rand(rows, phrases, generator=generator) < 0.4
    unclear = (torch.rand(rows, phrases, generator=generator) < 0.2) & ~true
    true[0] = unclear[0] = False
    return seen, text, true, unclear


def test_the_loss_equals_its_definition():
    seen, text, true, unclear = drawn()
    scale = 7.0
    total = weights = 0.0
    for r in range(len(seen)):
        for p in range(len(text)):
            if not true[r, p]:
                continue
            own = np.exp(scale * float(seen[r] @ text[p]))
            weight = 1 / np.sqrt(int(true[:, p].sum()))
            words = [(r, q) for q in range(len(text))]
            pictures = [(i, p) for i in range(len(seen))]
            for others in (words, pictures):
                false = sum(
                    np.exp(scale * float(seen[i] @ text[q]))
                    for i, q in others
                    if not (true[i, q] or unclear[i, q])
                )
                total -= weight * np.log(own / (own + false)) / 2
            weights += weight
    got = caption_contrast(seen, text, true, unclear, torch.tensor(scale))
    np.testing.assert_allclose(float(got), total / weights, rtol=1e-9)


def test_gradients_equal_finite_differences():
    seen, text, true, unclear = drawn(4, 3)
    scale = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda a, b, c: caption_contrast(a, b, true[:4, :3], unclear[:4, :3], c),
        (seen.requires_grad_(), text.requires_grad_(), scale),
    )


def test_captions_without_words_teach_nothing():
    seen, text, true, unclear = drawn()
    none = torch.zeros_like(true)
    seen.requires_grad_()
    loss = caption_contrast(seen, text, none, unclear, torch.tensor(5.0))
    loss.backward()
    assert float(loss.detach()) == 0 and not seen.grad.any()
