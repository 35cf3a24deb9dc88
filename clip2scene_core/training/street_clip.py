"""A tiny CLIP of the simulated town, learnt from pictures with captions: no pixel has a label.

Pictures are crops of what cameras see in the town, captions are the names of what is on them, or in a box of
them, in the sentences that CLIP is asked with. One pass over a crop answers for many captioned boxes: the
feature of a box is the mean of its patches, as the last block of the dense mode leaves them, so that dense
features are what is trained and not what remains.

Shapes: B crops, h x w patches, K boxes, P phrases, D embedding.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from clip2scene_core.checkpoint import write_safetensors
from clip2scene_core.clip.attention import MODES, DenseMode
from clip2scene_core.clip.templates import SLOT, prompt_templates
from clip2scene_core.clip.text import encode_text
from clip2scene_core.clip.towers import take_apart
from clip2scene_core.clip.weights import CONFIG_FILE, WEIGHT_FILES, build_clip, load_clip
from clip2scene_core.config import StreetClipConfig, TinyClipConfig, to_dict
from clip2scene_core.errors import ConfigError
from clip2scene_core.losses import caption_contrast
from clip2scene_core.training.caption_samples import Crop, CropSamples, read_all_views
from clip2scene_core.training.captions import caption_words, class_shares, random_boxes
from clip2scene_core.training.clock import TrainingClock
from clip2scene_core.training.loop import Losses, Record, Report, Task, optimise, seeded_fabric
from clip2scene_core.training.samples import load_batches
from clip2scene_core.training.schedule import step_seed
from clip2scene_core.writing import write_json

MEAN, STD = (0.45, 0.45, 0.45), (0.25, 0.25, 0.25)
"""Of RGB in 0..1, for the pictures of the town."""
VOCABULARY = 49408
"""Tokens of CLIP's own tokenizer."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedClip:
    """The weights of a CLIP and how it came about."""

    weights: Mapping[str, Tensor]
    record: Mapping[str, object]


def save(clip: TrainedClip, path: Path) -> None:
    """A file of open_clip, in half precision, with the record in its header."""
    halves = {name: tensor.half().contiguous().cpu() for name, tensor in clip.weights.items()}
    write_safetensors(halves, path, {"training": json.dumps(dict(clip.record))})


def train_street_clip(
    config: StreetClipConfig, views: Path, folder: Path, *, record: Mapping[str, object], report: Report
) -> Path:
    """Trains in `folder` (resuming what is there) on the pictures of `views`; see `optimise`.

    `folder` becomes one that `local-dir:` of open_clip loads: configuration and weights in half precision.
    """
    settings, model = config.training, config.model
    words, sentences = caption_words(), prompt_templates(config.templates)
    fabric = seeded_fabric(settings)
    write_json(folder / CONFIG_FILE, open_clip_config(model))
    clip, tokenizer = build_clip(folder)
    learner = CaptionLearner(clip)
    samples = CropSamples(read_all_views(views), model.image_px, settings.seed)
    texts = torch.stack(
        [tokenizer([s.replace(SLOT, p) for p in words.phrases]) for s in (SLOT, *sentences)]
    )  # (sentences, P, L); the first one is the bare word
    if config.start:
        record = {**record, "began_from": learner.begin_with(config.start)}
    else:
        learner.forget_unread(texts)

    def batches(steps_done: int) -> Iterable[list[Crop]]:
        return load_batches(samples, list, settings, steps_done=steps_done)

    def losses(
        learner: nn.Module, average: AveragedModel, crops: list[Crop], step: int
    ) -> tuple[Losses, Mapping[str, int]]:
        rng = np.random.default_rng((step_seed(settings, step), len(crops)))
        phrase = np.arange(len(words.phrases))
        sentence = np.where(
            rng.random(len(phrase)) < config.bare, 0, rng.integers(1, len(texts), len(phrase))
        )
        patches, whole, text, scale = learner(
            torch.stack([crop.rgb for crop in crops]).to(fabric.device),
            texts[sentence, phrase].to(fabric.device),
        )
        boxes = random_boxes(
            rng, len(crops), config.boxes, grid=patches.shape[1:3], least=config.least_box_patches
        )
        shares = boxes.means(
            class_shares(
                torch.stack([crop.class_id for crop in crops]), model.patch_px, words.meaning.shape[1]
            )
        )
        named, shown = (
            ((shares > least).float() @ words.meaning.T.float() > 0).to(fabric.device)
            for least in (config.least_share, 1e-4)
        )
        unclear = shown & ~named
        in_boxes = F.normalize(boxes.means(patches), dim=2)
        return {
            "boxes": caption_contrast(
                in_boxes.flatten(0, 1), text, named.flatten(0, 1), unclear.flatten(0, 1), scale
            ),
            "images": caption_contrast(whole, text, named[:, 0], unclear[:, 0], scale),
        }, {}

    def trained(average: AveragedModel, done: Record) -> TrainedClip:
        return TrainedClip(
            weights={name.removeprefix("clip."): each for name, each in average.module.state_dict().items()},
            record={**record, "pictures": len(samples), "config": to_dict(config), **done},
        )

    task = Task(
        learner=learner,
        trained=learner,
        student=learner,
        frames=len(samples),
        batches=batches,
        losses=losses,
        weights={"boxes": 1.0, "images": config.image_weight},
        clock=TrainingClock(fabric.device),
        checkpoint=trained,
        save=save,
        file_name=WEIGHT_FILES[0],
    )
    return optimise(task, settings, config, folder, fabric=fabric, report=report)


def open_clip_config(model: TinyClipConfig) -> dict[str, Any]:
    """What open_clip builds the model from, as in the configurations that it publishes."""
    return {
        "model_cfg": {
            "embed_dim": model.embedding_dim,
            "vision_cfg": {
                "image_size": model.image_px,
                "patch_size": model.patch_px,
                "layers": model.layers,
                "width": model.width,
                "head_width": model.head_width,
                "pool_type": "avg",
            },
            "text_cfg": {
                "context_length": model.text_tokens,
                "vocab_size": VOCABULARY,
                "layers": model.text_layers,
                "width": model.text_width,
                "heads": model.text_heads,
            },
        },
        "preprocess_cfg": {"mean": MEAN, "std": STD},
    }


class CaptionLearner(nn.Module):
    """A CLIP with all that its loss compares, as a function of what Fabric can wrap."""

    def __init__(self, clip: Any, mode: DenseMode = "maskclip") -> None:
        super().__init__()
        self.clip = clip
        self._mode = MODES[mode]

    def forward(self, images: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of images (B, 3, H, W) in 0..255 and texts (P, L): unit features of patches (B, h, w, D), of whole
        images (B, D) as open_clip encodes them, of texts (P, D), and the scale of their products."""
        clip, tower = self.clip, take_apart(self.clip.visual)
        shift, scale = (images.new_tensor(each).reshape(3, 1, 1) * 255 for each in (MEAN, STD))
        grid = images.shape[2] // tower.patch_px, images.shape[3] // tower.patch_px
        tokens_seen = tower.embed((images - shift) / scale)
        for block in tower.blocks:
            tokens_seen = block(tokens_seen)
        dense, plain = (
            tower.read_out(mode(tower.last_block, tokens_seen, grid))[:, tower.prefix_tokens :]
            for mode in (self._mode, MODES["plain"])
        )
        return (
            F.normalize(dense, dim=2).unflatten(1, grid),
            F.normalize(plain.mean(dim=1), dim=1),
            F.normalize(encode_text(clip, tokens), dim=1),
            clip.logit_scale.exp().clamp(max=100),
        )

    def begin_with(self, model: str) -> Mapping[str, str]:
        """Takes over all weights of a CLIP, see load_clip; from then on only the image encoder learns.

        Returns the identity of that CLIP. Raises ConfigError where it is of another size.
        """
        start = load_clip(model)
        try:
            self.clip.load_state_dict(start.model.state_dict())
        except RuntimeError as error:
            what = str(error).splitlines()[1].strip()
            raise ConfigError(f"{start.name} is of another size than model says: {what}") from error
        self.clip.requires_grad_(False)
        self.clip.visual.requires_grad_(True)
        return start.identity

    @torch.no_grad()
    def forget_unread(self, texts: Tensor) -> None:
        """Zeroes the embeddings of tokens that are in none of the texts (..., L): such words say nothing."""
        embedding = self.clip.token_embedding.weight
        unread = torch.ones(len(embedding), dtype=torch.bool)
        unread[texts.unique()] = False
        embedding[unread] = 0.0
