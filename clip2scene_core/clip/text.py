"""Words to embeddings in the joint image-text space, computed once and kept on disk.

Shapes: P phrases, T templates, D embedding, C classes, L tokens.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialised
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from clip2scene_core.clip.templates import SLOT, prompt_templates
from clip2scene_core.clip.weights import LoadedClip
from clip2scene_core.writing import whole_file

PROMPTS = 256
"""How many sentences are encoded at once, about; all templates of a phrase at least."""

TENSOR = "embedding"
"""Name of the one tensor in a file."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TextEmbeddings:
    """The phrases of a vocabulary in the joint space; `classify` takes the best one of each class."""

    embeddings: Tensor
    """(P, D) float32, unit length."""
    phrase_class: Tensor
    """(P,) int64: position of the class that each phrase stands for."""
    num_classes: int

    def to(self, device: torch.device | str) -> TextEmbeddings:
        """The same on another device."""
        return replace(self, embeddings=self.embeddings.to(device), phrase_class=self.phrase_class.to(device))

    def averaged(self) -> TextEmbeddings:
        """One embedding for each class that has phrases: their mean, of unit length again."""
        total = self.embeddings.new_zeros(self.num_classes, self.embeddings.shape[1])
        total.index_add_(0, self.phrase_class, self.embeddings)
        classes = self.phrase_class.unique()
        return TextEmbeddings(
            embeddings=F.normalize(total[classes], dim=1), phrase_class=classes, num_classes=self.num_classes
        )


def default_cache_dir() -> Path:
    """Where users expect what a program can compute again: $XDG_CACHE_HOME, else ~/.cache."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "clip2scene" / "text"


def embed_text(
    clip: LoadedClip,
    phrases_by_class: Sequence[Sequence[str]],
    *,
    templates: str | Sequence[str] = "full",
    cache_dir: Path | None = None,
    progress: Callable[..., None] = lambda done, total: None,
) -> TextEmbeddings:
    """Embeddings of the phrases of each class, on the device of the model.

    That of a phrase is the mean of the unit embeddings of all `templates` (see prompt_templates) filled with
    it, of unit length again. In `cache_dir` they are looked up and kept; several processes may share it.
    `progress` is told done and total of the phrases that had to be computed.
    """
    sentences = prompt_templates(templates)
    phrases = list(dict.fromkeys(phrase for of_class in phrases_by_class for phrase in of_class))
    files = (
        {phrase: cache_dir / _file_name(clip, sentences, phrase) for phrase in phrases} if cache_dir else {}
    )
    known = {phrase: kept for phrase, file in files.items() if (kept := _read(file)) is not None}
    missing = [phrase for phrase in phrases if phrase not in known]
    if unread := _unread(clip, phrases):
        log.warning("%s never read a word of: %s; they mean little to it", clip.name, ", ".join(unread))
    step = max(1, PROMPTS // len(sentences))
    for first in range(0, len(missing), step):
        batch = missing[first : first + step]
        for phrase, embedding in zip(batch, _embed(clip, batch, sentences), strict=True):
            known[phrase] = embedding
            if phrase in files and not _write(files[phrase], embedding, phrase):
                files.clear()
        progress(first + len(batch), total=len(missing))
    rows = [(known[phrase], index) for index, of_class in enumerate(phrases_by_class) for phrase in of_class]
    return TextEmbeddings(
        embeddings=torch.stack([embedding for embedding, _ in rows]).to(clip.device),
        phrase_class=torch.tensor([index for _, index in rows], device=clip.device),
        num_classes=len(phrases_by_class),
    )


def _unread(clip: LoadedClip, phrases: Sequence[str]) -> list[str]:
    """Those with a token whose embedding is zero, as `train-clip` leaves the ones that it never saw."""
    embedding = getattr(clip.model, "token_embedding", None)
    if embedding is None or (known := embedding.weight.any(dim=1)).all():
        return []
    return [phrase for phrase in phrases if not known[clip.tokenizer([phrase])[0].to(clip.device)].all()]


@torch.no_grad()
def _embed(clip: LoadedClip, phrases: Sequence[str], sentences: Sequence[str]) -> Tensor:
    """(P, D) float32 on the CPU."""
    prompts = [sentence.replace(SLOT, phrase) for phrase in phrases for sentence in sentences]
    tokens = clip.tokenizer(prompts).to(clip.device)
    unit = F.normalize(encode_text(clip.model, tokens).float(), dim=1)
    return F.normalize(unit.unflatten(0, (len(phrases), len(sentences))).mean(dim=1), dim=1).cpu()


def encode_text(model: Any, tokens: Tensor) -> Tensor:
    """(T, D) floating: `encode_text` of an open_clip model, without the padding behind tokens (T, L).

    In the text encoder of CLIP each token sees those before it only, and the one that ends the text, which
    has the largest number, is read: leaving out what is behind it changes nothing, and takes an eighth of
    the time for sentences of ten of its 77 tokens.
    """
    from open_clip import CLIP

    if type(model) is not CLIP or model.attn_mask is None or model.text_pool_type != "argmax":
        return model.encode_text(tokens)
    length = int(tokens.argmax(dim=1).max()) + 1
    shorter = {
        "model.positional_embedding": model.positional_embedding[:length],
        "model.attn_mask": model.attn_mask[:length, :length],
    }
    return functional_call(_TextEncoder(model), shorter, tokens[:, :length])


class _TextEncoder(nn.Module):
    """`encode_text` as a module, whose parameters functional_call can exchange."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        return self.model.encode_text(tokens)


def _file_name(clip: LoadedClip, sentences: Sequence[str], phrase: str) -> str:
    """Everything that an embedding depends on, as one number."""
    key = json.dumps([clip.name, clip.weights_hash, str(clip.dtype), sentences, phrase])
    return f"{hashlib.sha256(key.encode()).hexdigest()}.safetensors"


def _read(file: Path) -> Tensor | None:
    """The embedding in a file; None where there is none, or it is damaged."""
    try:
        embedding = load_file(file)[TENSOR]
    except (KeyError, OSError, SafetensorError):
        return None
    whole = embedding.ndim == 1 and abs(float(embedding.float().norm()) - 1) < 1e-3
    return embedding if whole else None


def _write(file: Path, embedding: Tensor, phrase: str) -> bool:
    """False, with a warning, where files cannot be kept: nothing is lost but time."""
    try:
        with whole_file(file) as temporary:
            temporary.write_bytes(serialised({TENSOR: embedding}, {"phrase": phrase}))
    except OSError as error:
        log.warning("text embeddings cannot be kept, they will be computed again: %s", error)
        return False
    return True
