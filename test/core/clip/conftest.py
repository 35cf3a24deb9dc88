"""CLIPs so small that a test can afford them, registered with open_clip as its own are."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch

from clip2scene_core.clip.weights import LoadedClip, load_clip

open_clip = pytest.importorskip("open_clip")

VISION = {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 16, "layers": 2, "mlp_ratio": 2.0}
TEXT = {"context_length": 16, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1}
SIGLIP = {"image_size": 32, "timm_model_name": "tiny_siglip", "timm_pool": "map", "timm_proj": "none"}
CONFIGS = {
    "Tiny": {"vision_cfg": VISION},
    "Tiny-quickgelu": {"vision_cfg": VISION, "quick_gelu": True},
    "Tiny-deep": {"vision_cfg": VISION | {"layers": 3}},
    "Tiny-one-block": {"vision_cfg": VISION | {"layers": 1}},
    "Tiny-average": {"vision_cfg": VISION | {"pool_type": "avg", "no_ln_pre": True, "ls_init_value": 0.5}},
    "Tiny-CLIPA": {"vision_cfg": VISION | {"pool_type": "avg", "final_ln_after_pool": True}},
    "Tiny-CoCa": {"vision_cfg": VISION | {"attentional_pool": True, "attn_pooler_heads": 3}},
    "Tiny-SigLIP": {"vision_cfg": SIGLIP, "custom_text": True, "init_logit_bias": -10, "embed_dim": 32},
    "Tiny-timm": {
        "vision_cfg": {
            "image_size": 32,
            "timm_model_name": "tiny_class_token",
            "timm_pool": "token",
            "timm_proj": "linear",
        }
    },
}


@pytest.fixture(scope="session", autouse=True)
def tiny_models(tmp_path_factory) -> None:
    """Makes open_clip know the models above."""
    from timm.models import register_model
    from timm.models.vision_transformer import VisionTransformer

    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}

    def tiny_siglip(pretrained: bool = False, **settings) -> VisionTransformer:
        return VisionTransformer(**sizes, class_token=False, **settings)

    def tiny_class_token(pretrained: bool = False, **settings) -> VisionTransformer:
        return VisionTransformer(**sizes, reg_tokens=2, pre_norm=True, **settings)

    for model in (tiny_siglip, tiny_class_token):
        register_model(model)
    folder = tmp_path_factory.mktemp("model_configs")
    for name, config in CONFIGS.items():
        (folder / f"{name}.json").write_text(json.dumps({"embed_dim": 24, "text_cfg": TEXT} | config))
    open_clip.add_model_config(folder)


@pytest.fixture(scope="session")
def tiny_clip(tiny_models) -> Callable[[str], LoadedClip]:
    """Makes one of the models above, with weights that leave nothing at zero or one."""

    @cache
    def make(name: str = "Tiny") -> LoadedClip:
        clip = load_clip(name, "random")
        generator = torch.Generator().manual_seed(0)
        for parameter in clip.model.parameters():
            parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)
        return clip

    return make


@pytest.fixture
def images() -> np.ndarray:
    """(2, 32, 32, 3) uint8, the size that the tiny models were made for."""
    return np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
