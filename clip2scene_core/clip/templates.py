"""Sentences around a word: CLIP was trained on captions, and knows `a photo of a car.` better than `car`."""

from __future__ import annotations

from collections.abc import Sequence

from clip2scene_core.errors import ConfigError, MissingExtraError

SLOT = "{}"
"""Where the word goes."""

SCENE = (
    "there is a {} in the scene.",
    "there is the {} in the scene.",
    "this is a {} in the scene.",
    "this is the {} in the scene.",
    "this is one {} in the scene.",
)
"""What MaskCLIP adds to CLIP's own templates for ImageNet."""

SMALL_SETS = {"simple": ("a photo of a {}.",), "none": (SLOT,)}
"""Sets to try words with: 85 times faster than `full`."""


def prompt_templates(choice: str | Sequence[str] = "full") -> tuple[str, ...]:
    """`full` are the 85 of MaskCLIP, `simple` and `none` one; else sentences of one's own with {}.

    Raises ConfigError for a sentence without {}, MissingExtraError where `full` needs open_clip and it is
    not there.
    """
    if choice == "full":
        return (*_imagenet(), *SCENE)
    if isinstance(choice, str):
        choice = SMALL_SETS.get(choice, [choice])
    if not choice:
        raise ConfigError("templates: expected at least one sentence, got none")
    for sentence in choice:
        if SLOT not in sentence:
            raise ConfigError(
                f"template '{sentence}' has no {SLOT} for the word; "
                f"expected sentences with it, or one of full, {', '.join(SMALL_SETS)}"
            )
    return tuple(choice)


def _imagenet() -> list[str]:
    """The 80 that CLIP was published with."""
    try:
        from open_clip import OPENAI_IMAGENET_TEMPLATES
    except ImportError as error:
        raise MissingExtraError("open_clip_torch", "clip") from error
    return [fill(SLOT) for fill in OPENAI_IMAGENET_TEMPLATES]
