"""Dense features against open_clip's own ways to its features, and their reading at pixels."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from clip2scene_core.clip.attention import MODES
from clip2scene_core.clip.dense import DenseClip, sample_features
from clip2scene_core.clip.towers import resized, take_apart
from clip2scene_core.clip.weights import LoadedClip
from clip2scene_core.errors import ConfigError, DataError

OF_OPEN_CLIP = ["Tiny", "Tiny-quickgelu", "Tiny-average", "Tiny-CLIPA", "Tiny-CoCa"]
OF_TIMM = ["Tiny-SigLIP", "Tiny-timm"]


def preprocessed(clip: LoadedClip, images: np.ndarray) -> torch.Tensor:
    """What torchvision makes of the images, with open_clip's transform of the model."""
    transform = open_clip.image_transform(32, is_train=False, mean=clip.mean, std=clip.std)
    return torch.stack([transform(Image.fromarray(image)) for image in images])


def last_tokens(clip: LoadedClip, images: np.ndarray) -> torch.Tensor:
    """open_clip's output of the last block, patches only, (B, h w, K)."""
    seen = clip.model.visual.forward_intermediates(preprocessed(clip, images), indices=1, output_fmt="NLC")
    return seen["image_intermediates"][0]


@pytest.mark.parametrize("model", OF_OPEN_CLIP[:3])
def test_plain_is_what_open_clip_has_before_pooling(model, tiny_clip, images):
    clip = tiny_clip(model)
    visual = clip.model.visual
    expected = visual.ln_post(last_tokens(clip, images)) @ visual.proj
    found = DenseClip(clip, mode="plain")(images).features
    torch.testing.assert_close(found.flatten(2).mT, expected, rtol=0, atol=1e-5)
