"""The objective as a whole: its terms, their sum, and that the device is never waited for."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize
from torch.utils._python_dispatch import TorchDispatchMode

from clip2scene_core.errors import ConfigError
from clip2scene_core.losses import (
    clip2scene_terms,
    cross_entropy,
    fused_cell_features,
    kl_distillation,
    ppkt,
    semantic_consistency,
    slidr,
    spatial_temporal_consistency,
    switched_labels,
    weighted_sum,
)

PAIRS, DIM = 30, 6
PHRASE_CLASS = torch.tensor([0, 0, 1, 2])
WEIGHTS = {"semantic": 0.5, "spatial_temporal": 3.0}


def batch():
    generator = torch.Generator().manual_seed(0)

    def unit(rows):
        return normalize(torch.randn(rows, DIM, generator=generator), dim=1)

    def integers(low, high):
        return torch.randint(low, high, (PAIRS,), generator=generator)

    return {
        "semantic": unit(PAIRS).requires_grad_(),
        "label": integers(-1, 4),
        "temporal": unit(PAIRS).requires_grad_(),
        "pixels": unit(PAIRS),
        "pixel_label": integers(-1, 4),
        "cell": integers(-1, 5),
        "cells": 5,
        "text_embeddings": unit(4),
        "phrase_class": PHRASE_CLASS,
        "num_classes": 3,
    }


@pytest.mark.parametrize("fusion", ["points_and_pixels", "points"])
@pytest.mark.parametrize("semantic_loss", ["infonce", "cross_entropy"])
def test_the_total_is_the_weighted_sum_and_every_term_has_a_gradient(semantic_loss, fusion):
    values = batch()
    terms = clip2scene_terms(**values, semantic_loss=semantic_loss, fusion=fusion)
    total = weighted_sum(terms, WEIGHTS)
    torch.testing.assert_close(total, 0.5 * terms["semantic"] + 3 * terms["spatial_temporal"])
    (semantic,) = torch.autograd.grad(terms["semantic"], values["semantic"], retain_graph=True)
    (temporal,) = torch.autograd.grad(terms["spatial_temporal"], values["temporal"], retain_graph=True)
    assert semantic.any()
    assert temporal.any()
    ours = torch.autograd.grad(total, [values["semantic"], values["temporal"]])
    torch.testing.assert_close(ours, (0.5 * semantic, 3 * temporal))


def test_the_terms_are_those_of_the_equations():
    values = batch()
    terms = clip2scene_terms(**values, tau=0.2, lambda_=0.7)
    text, points, label = values["text_embeddings"], values["temporal"], values["pixel_label"]
    known = label >= 0
    pairs = (values["pixels"], points, text, label, values["cell"])
    cells = fused_cell_features(*(v if v is text else v[known] for v in pairs), 5, lambda_=0.7)
    torch.testing.assert_close(
        terms["spatial_temporal"],
        spatial_temporal_consistency(cells, values["cell"][known]),
    )
    torch.testing.assert_close(
        terms["semantic"],
        semantic_consistency(values["semantic"], text, values["label"], PHRASE_CLASS, 3, tau=0.2),
    )


def test_a_weight_for_a_term_that_there_is_not_is_refused():
    terms = clip2scene_terms(**batch())
    with pytest.raises(ConfigError, match="must name semantic, spatial_temporal, got semantic, temporal"):
        weighted_sum(terms, {"semantic": 1.0, "temporal": 1.0})


class NobodyLooks(TorchDispatchMode):
    """Forbids what makes the host wait for a GPU: values read, and sizes that depend on values."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        waits = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(func.tags)
        if "aten::index" in func.name() and isinstance(args[1], list | tuple):  # waits for the size of masks
            waits = [i for i in args[1] if i is not None and i.dtype in (torch.bool, torch.uint8)]
        assert not waits, f"{func.name()} waits for the device"
        return func(*args, **(kwargs or {}))


def objective(batch, **options):
    return weighted_sum(clip2scene_terms(**batch, **options), WEIGHTS)


def switched(batch):
    label = switched_labels(batch["label"], batch["pixel_label"])
    return objective(batch | {"label": label}, semantic_loss="cross_entropy", fusion="points")


def class_weighted(batch):
    return cross_entropy(batch["semantic"], batch["label"], batch["pixels"][0])


def point_pixel(batch):
    return ppkt(batch["semantic"], batch["pixels"])


def superpixel(batch):
    return slidr(batch["semantic"], batch["cell"], batch["pixels"], batch["label"], 5)


def distillation(batch):
    return kl_distillation(batch["semantic"], batch["pixels"].softmax(dim=1))


@pytest.mark.parametrize("loss", [objective, switched, class_weighted, point_pixel, superpixel, distillation])
def test_the_host_never_waits_for_the_device(loss):
    values = batch()
    with NobodyLooks():
        loss(values).backward()


@pytest.mark.parametrize(
    "look",
    [
        lambda x: x.sum().item(),
        lambda x: bool(x.any()),
        lambda x: x[x > 0],
        lambda x: x.index_put((x > 0,), x.new_ones(())),
        lambda x: torch.bincount(x.long()),
    ],
)
def test_this_sees_who_waits(look):
    with NobodyLooks(), pytest.raises(AssertionError, match="waits for the device"):
        look(torch.ones(3))
