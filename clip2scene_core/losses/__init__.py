"""Losses as pure functions of tensors. None but Lovasz-softmax waits for the device."""

from clip2scene_core.losses.supervised import cross_entropy, lovasz_softmax

__all__ = ["cross_entropy", "lovasz_softmax"]
